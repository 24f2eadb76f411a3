#include "tools/llmc/Svg.h"
#include "llvm/Support/FormatVariadic.h"

namespace llmc::cli {
namespace {

std::string escape(llvm::StringRef text) {
  std::string out;
  for (char c : text) switch (c) {
    case '&': out += "&amp;"; break;
    case '<': out += "&lt;"; break;
    case '>': out += "&gt;"; break;
    case '"': out += "&quot;"; break;
    default: out += uint8_t(c) < 32 ? ' ' : c;
    }
  return out;
}

} // namespace

Svg::Svg(double width, double height) {
  body = llvm::formatv("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:f0}\" height=\"{1:f0}\" "
                       "viewBox=\"0 0 {0:f0} {1:f0}\" font-family=\"Inter, Helvetica, Arial, sans-serif\">\n",
                       width, height)
             .str();
}

void Svg::rectangle(SvgPoint corner, double width, double height, const std::string &fill, double radius,
                    const std::string &stroke, double opacity) {
  body += llvm::formatv("<rect x=\"{0:f1}\" y=\"{1:f1}\" width=\"{2:f1}\" height=\"{3:f1}\" rx=\"{4:f1}\" fill=\"{5}\" "
                        "stroke=\"{6}\" opacity=\"{7:f2}\"/>\n",
                        corner.x, corner.y, width, height, radius, fill, stroke, opacity)
              .str();
}

void Svg::line(SvgPoint from, SvgPoint to, const std::string &color, double width, const char *dashes) {
  body += llvm::formatv("<line x1=\"{0:f1}\" y1=\"{1:f1}\" x2=\"{2:f1}\" y2=\"{3:f1}\" stroke=\"{4}\" "
                        "stroke-width=\"{5:f2}\" stroke-linecap=\"round\"{6}/>\n",
                        from.x, from.y, to.x, to.y, color, width,
                        dashes ? " stroke-dasharray=\"" + std::string(dashes) + "\"" : "")
              .str();
}

void Svg::circle(SvgPoint center, double radius, const std::string &fill, const std::string &stroke, double width) {
  body += llvm::formatv("<circle cx=\"{0:f1}\" cy=\"{1:f1}\" r=\"{2:f1}\" fill=\"{3}\" stroke=\"{4}\" "
                        "stroke-width=\"{5:f2}\"/>\n",
                        center.x, center.y, radius, fill, stroke, width)
              .str();
}

void Svg::diamond(SvgPoint center, double radius, const std::string &fill, const std::string &stroke, double width) {
  body += llvm::formatv("<path d=\"M {0:f1} {1:f1} l {2:f1} {2:f1} l -{2:f1} {2:f1} l -{2:f1} -{2:f1} z\" "
                        "fill=\"{3}\" stroke=\"{4}\" stroke-width=\"{5:f2}\"/>\n",
                        center.x, center.y - radius, radius, fill, stroke, width)
              .str();
}

void Svg::text(SvgPoint at, llvm::StringRef text, const SvgText &style) {
  std::string turn;
  if (style.rotate != 0)
    turn = llvm::formatv(" transform=\"rotate({0:f1} {1:f1} {2:f1})\"", style.rotate, at.x, at.y).str();
  body += llvm::formatv("<text x=\"{0:f1}\" y=\"{1:f1}\" font-size=\"{2:f1}\" fill=\"{3}\" text-anchor=\"{4}\"{5}{6}>"
                        "{7}</text>\n",
                        at.x, at.y, style.size, style.color, style.anchor, style.bold ? " font-weight=\"600\"" : "",
                        turn, escape(text))
              .str();
}

double Svg::widthOf(llvm::StringRef text, double size) {
  constexpr double kAverage = 0.54; // width of a character of a sans-serif font over its size
  return kAverage * size * double(text.size());
}

} // namespace llmc::cli
