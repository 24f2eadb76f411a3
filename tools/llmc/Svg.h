// A writer of SVG: shapes in the order of painting.
#pragma once
#include "llvm/ADT/StringRef.h"
#include <string>

namespace llmc::cli {

struct SvgPoint {
  double x = 0, y = 0; // pixels, y downwards
};

struct SvgText {
  double size = 12;              // pixels
  std::string color = "#374151"; // as CSS has it
  const char *anchor = "start";  // start, middle, end
  bool bold = false;
  double rotate = 0; // degrees, clockwise around its point
};

class Svg {
public:
  Svg(double width, double height);
  void rectangle(SvgPoint corner, double width, double height, const std::string &fill, double radius = 0,
                 const std::string &stroke = "none", double opacity = 1);
  void line(SvgPoint from, SvgPoint to, const std::string &color, double width, const char *dashes = nullptr);
  void circle(SvgPoint center, double radius, const std::string &fill, const std::string &stroke, double width);
  void diamond(SvgPoint center, double radius, const std::string &fill, const std::string &stroke, double width);
  /// `text` may hold anything; it is escaped.
  void text(SvgPoint at, llvm::StringRef text, const SvgText &style);
  /// Pixels that a text is wide, about: fonts differ.
  static double widthOf(llvm::StringRef text, double size);
  /// The whole document.
  std::string finish() const { return body + "</svg>\n"; }

private:
  std::string body;
};

} // namespace llmc::cli
