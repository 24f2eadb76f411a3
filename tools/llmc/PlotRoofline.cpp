#include "tools/llmc/PlotRoofline.h"
#include "tools/llmc/Svg.h"
#include "llvm/Support/FormatVariadic.h"
#include <algorithm>
#include <cmath>

namespace llmc::cli {
namespace {

constexpr double kWidth = 1120, kHeight = 700, kLeft = 112, kRight = 40, kTop = 96, kBottom = 84;
constexpr double kLabelSize = 12.5, kLineHeight = 16;
constexpr const char *kInk = "#111827", *kMuted = "#6b7280", *kGrid = "#e5e7eb", *kSoftGrid = "#f3f4f6";
constexpr const char *kKindColors[] = {"#2563eb", "#7c3aed", "#047857"}; // int8, 16-bit, f32
constexpr const char *kStepColors[] = {"#ea580c", "#be185d", "#0891b2", "#4d7c0f"};

struct Box {
  double x, y, width, height;
  bool overlaps(const Box &o) const {
    return x < o.x + o.width && o.x < x + width && y < o.y + o.height && o.y < y + height;
  }
  bool holds(SvgPoint p) const { return p.x > x && p.x < x + width && p.y > y && p.y < y + height; }
};

/// Calls that are drawn at one place.
struct Mark {
  SvgPoint at, limit;
  size_t step = 0;
  bool measured = false;
  std::vector<std::string> labels;
};

/// 1e9 -> "1 GOP/s".
std::string rateText(double rate) {
  constexpr const char *units[] = {"OP/s", "kOP/s", "MOP/s", "GOP/s", "TOP/s", "POP/s"};
  size_t unit = 0;
  for (; rate >= 999.5 && unit + 1 < std::size(units); ++unit) rate /= 1000;
  std::string text = rate >= 100 || rate == std::floor(rate) ? llvm::formatv("{0:f0}", rate).str()
                     : rate >= 10                            ? llvm::formatv("{0:f1}", rate).str()
                                                             : llvm::formatv("{0:f2}", rate).str();
  return text + " " + units[unit];
}

std::string shortName(llvm::StringRef name) {
  name = name.split(" (").first;
  for (llvm::StringRef prefix : {"self_attn.", "mlp."}) name.consume_front(prefix);
  std::string text;
  llvm::SmallVector<llvm::StringRef> parts;
  name.split(parts, " + ");
  for (llvm::StringRef part : parts) {
    part.consume_back("_proj");
    (text += text.empty() ? "" : "+") += part;
  }
  return text;
}

class Roofline {
public:
  Roofline(const HostRates &host, const std::vector<StepReport> &steps) : host(host), steps(steps) { chooseRange(); }

  std::string draw(const std::string &title, const std::string &subtitle) {
    svg.rectangle({0, 0}, kWidth, kHeight, "#ffffff");
    svg.text({kLeft, 40}, title, {.size = 21, .color = kInk, .bold = true});
    svg.text({kLeft, 64}, subtitle, {.size = 13, .color = kMuted});
    drawGrid();
    drawRoof();
    collectMarks();
    drawMarks();
    drawLegend();
    return svg.finish();
  }

private:
  //===- Scales ----------------------------------------------------------------===//
  double intensityOf(const CallLine &line) const { return line.work.allOperations() / std::max(line.work.bytes, 1.0); }
  double allowed(const CallLine &line) const { return line.work.allOperations() / std::max(line.limit.seconds, 1e-12); }
  double reached(const CallLine &line) const {
    return line.measured > 0 ? line.work.allOperations() / line.measured : allowed(line);
  }
  /// What matters: not the norms, nor what takes next to no time.
  static bool isDrawn(const StepReport &step, const CallLine &line) {
    constexpr double kLeast = 0.015; // of the step
    bool matters = line.limit.seconds > kLeast * step.callLimits || line.measured > kLeast * step.cpuSeconds;
    return matters && line.work.allOperations() > 0 && line.work.bytes > 0;
  }

  void chooseRange() {
    double least = INFINITY, most = 0, slow = INFINITY, fast = 0;
    for (const StepReport &step : steps)
      for (const CallLine &line : step.calls)
        if (isDrawn(step, line)) {
          least = std::min(least, intensityOf(line)), most = std::max(most, intensityOf(line));
          slow = std::min(slow, reached(line));
        }
    for (double peak : host.roof.peaks) {
      fast = std::max(fast, peak);
      if (peak > 0 && host.roof.read > 0) most = std::max(most, 1.5 * peak / host.roof.read);
    }
    if (!(least < INFINITY)) least = slow = 1;
    lowX = std::log10(least) - 0.45, highX = std::log10(std::max(most, 10.0)) + 0.45;
    lowY = std::log10(slow) - 0.5, highY = std::log10(std::max(fast, 10.0)) + 0.35;
  }
  double xAt(double intensity) const {
    return kLeft + (std::log10(intensity) - lowX) / (highX - lowX) * (kWidth - kLeft - kRight);
  }
  double yAt(double rate) const {
    return kHeight - kBottom - (std::log10(rate) - lowY) / (highY - lowY) * (kHeight - kTop - kBottom);
  }

  //===- Axes ------------------------------------------------------------------===//
  void drawGrid() {
    const double bottom = kHeight - kBottom, right = kWidth - kRight;
    svg.rectangle({kLeft, kTop}, right - kLeft, bottom - kTop, "#fcfcfd");
    for (int decade = int(std::floor(lowX)); decade <= int(std::ceil(highX)); ++decade)
      for (int digit = 1; digit < 10; ++digit) {
        double value = digit * std::pow(10, decade), x = xAt(value);
        if (x < kLeft || x > right) continue;
        svg.line({x, kTop}, {x, bottom}, digit == 1 ? kGrid : kSoftGrid, 1);
        if (digit == 1)
          svg.text({x, bottom + 22},
                   llvm::formatv("{0}", value).str().find("e") == std::string::npos && value >= 1
                       ? llvm::formatv("{0:f0}", value).str()
                       : llvm::formatv("{0:f2}", value).str(),
                   {.size = 12, .color = kMuted, .anchor = "middle"});
      }
    for (int decade = int(std::floor(lowY)); decade <= int(std::ceil(highY)); ++decade)
      for (int digit = 1; digit < 10; ++digit) {
        double value = digit * std::pow(10, decade), y = yAt(value);
        if (y < kTop || y > bottom) continue;
        svg.line({kLeft, y}, {right, y}, digit == 1 ? kGrid : kSoftGrid, 1);
        if (digit == 1) svg.text({kLeft - 10, y + 4}, rateText(value), {.size = 12, .color = kMuted, .anchor = "end"});
      }
    svg.text({22, (kTop + bottom) / 2}, "operations per second",
             {.size = 13, .color = kInk, .anchor = "middle", .rotate = -90});
    svg.text({(kLeft + right) / 2, kHeight - 30}, "operations per byte read from memory",
             {.size = 13, .color = kInk, .anchor = "middle"});
  }

  //===- Limits ----------------------------------------------------------------===//
  /// A line that labels should not hide.
  void segment(SvgPoint from, SvgPoint to, const char *color, double width, const char *dashes = nullptr) {
    svg.line(from, to, color, width, dashes);
    constexpr int kPieces = 60;
    for (int i = 0; i <= kPieces; ++i)
      lines.push_back({from.x + (to.x - from.x) * i / kPieces, from.y + (to.y - from.y) * i / kPieces});
  }

  void drawRoof() {
    const double right = kWidth - kRight;
    double highest = *std::max_element(std::begin(host.roof.peaks), std::end(host.roof.peaks));
    for (size_t kind = 0; kind < probe::kKinds; ++kind) {
      double peak = host.roof.peaks[kind];
      if (peak <= 0) continue;
      double ridge = host.roof.read > 0 ? xAt(peak / host.roof.read) : kLeft, y = yAt(peak);
      segment({std::max(ridge, kLeft), y}, {right, y}, kKindColors[kind], 2.4);
      std::string text =
          std::string(probe::kindName(probe::Kind(kind))) + "  " + rateText(peak) + "  (" + host.peakNames[kind] + ")";
      svg.text({right - 8, y - 8}, text, {.size = 12.5, .color = kKindColors[kind], .anchor = "end", .bold = true});
      double width = Svg::widthOf(text, 12.5);
      taken.push_back({right - 8 - width, y - 22, width, 20});
    }
    if (host.roof.read <= 0 || highest <= 0) return;
    double left = std::pow(10, lowX), ridge = highest / host.roof.read;
    // From where the slope enters the plot.
    double bottomX = std::max(left, std::pow(10, lowY) / host.roof.read);
    SvgPoint from = {xAt(bottomX), yAt(bottomX * host.roof.read)}, to = {xAt(ridge), yAt(highest)};
    segment(from, to, kInk, 2.8);
    slope = {from, to};
  }

  /// Along the slope, above or below it, where it hides least.
  void labelSlope() {
    if (slope.first.x == slope.second.x) return;
    std::string text = llvm::formatv("memory  {0:f1} GB/s", host.roof.read / 1e9).str();
    auto [from, to] = slope;
    double length = std::hypot(to.x - from.x, to.y - from.y), half = Svg::widthOf(text, 13) / 2;
    double dx = (to.x - from.x) / length, dy = (to.y - from.y) / length, least = INFINITY, bestAt = 0, bestOff = 0;
    for (double off : {-9.0, 19.0}) // of the baseline from the line
      for (double at = half + 30; at <= length - half - 10; at += 6) {
        double cost = off > 0 ? 5 : 0;
        for (double piece = -half; piece <= half; piece += 5) { // of the text
          double x = from.x + dx * (at + piece) - dy * (off + 5), y = from.y + dy * (at + piece) + dx * (off - 5);
          for (const Box &box : taken) cost += box.holds({x, y}) ? 20 : 0;
        }
        if (cost < least) least = cost, bestAt = at, bestOff = off;
      }
    SvgPoint at = {from.x + dx * bestAt - dy * bestOff, from.y + dy * bestAt + dx * bestOff};
    svg.text(at, text,
             {.size = 13, .color = kInk, .anchor = "middle", .bold = true, .rotate = std::atan2(dy, dx) * 180 / M_PI});
    for (double piece = -half; piece <= half; piece += 8)
      taken.push_back({at.x + dx * piece - 7, at.y + dy * piece - 14, 14, 20});
  }

  //===- Calls -----------------------------------------------------------------===//
  void collectMarks() {
    constexpr double kTogether = 7; // pixels
    for (size_t i = 0; i < steps.size(); ++i)
      for (const CallLine &line : steps[i].calls) {
        if (!isDrawn(steps[i], line)) continue;
        Mark mark{.at = {xAt(intensityOf(line)), yAt(reached(line))},
                  .limit = {xAt(intensityOf(line)), yAt(allowed(line))},
                  .step = i,
                  .measured = line.measured > 0};
        std::string label = shortName(line.call->name);
        if (mark.measured)
          label += llvm::formatv("  {0:f0} % of its limit", 100 * line.limit.seconds / line.measured).str();
        auto near = std::find_if(marks.begin(), marks.end(), [&](const Mark &m) {
          return m.step == i && std::hypot(m.at.x - mark.at.x, m.at.y - mark.at.y) < kTogether;
        });
        if (near == marks.end()) near = marks.insert(marks.end(), mark);
        if (mark.measured || near->labels.empty() || near->labels.back().size() > 24)
          near->labels.push_back(label);
        else
          near->labels.back() += ", " + label;
      }
  }

  void drawMarks() {
    for (const Mark &mark : marks) taken.push_back({mark.at.x - 8, mark.at.y - 8, 16, 16});
    labelSlope();
    for (const Mark &mark : marks) {
      const char *color = kStepColors[mark.step % std::size(kStepColors)];
      if (mark.measured && std::abs(mark.at.y - mark.limit.y) > 10)
        segment({mark.at.x, mark.at.y}, mark.limit, color, 1.2, "2 3");
    }
    for (const Mark &mark : marks) placeLabel(mark);
    for (const Mark &mark : marks) drawMark(mark.at, mark.step);
  }

  void drawMark(SvgPoint at, size_t step) {
    const char *color = kStepColors[step % std::size(kStepColors)];
    if (step % 2)
      svg.diamond(at, 7.5, color, "#ffffff", 1.5);
    else
      svg.circle(at, 6, color, "#ffffff", 1.5);
  }

  /// Of many places around the mark, the one that hides least, near rather than far.
  void placeLabel(const Mark &mark) {
    double width = 0, height = kLineHeight * double(mark.labels.size());
    for (const std::string &label : mark.labels) width = std::max(width, Svg::widthOf(label, kLabelSize));
    Box best{};
    double least = INFINITY;
    for (double distance : {16.0, 30.0, 50.0, 75.0, 105.0, 140.0, 180.0})
      for (int turn = 0; turn < 24; ++turn) {
        double angle = turn * M_PI / 12, cx = std::cos(angle), cy = std::sin(angle);
        Box box{mark.at.x + cx * distance + (cx - 1) / 2 * width, mark.at.y + cy * distance + (cy - 1) / 2 * height,
                width, height};
        double cost = distance * 0.6 + penalty(box);
        if (cost < least) least = cost, best = box;
      }
    taken.push_back({best.x - 4, best.y - 2, best.width + 8, best.height + 4});
    const char *color = kStepColors[mark.step % std::size(kStepColors)];
    SvgPoint edge = {std::clamp(mark.at.x, best.x - 3, best.x + width + 3),
                     std::clamp(mark.at.y, best.y, best.y + height)};
    if (std::hypot(edge.x - mark.at.x, edge.y - mark.at.y) > 12) svg.line(mark.at, edge, color, 0.9);
    for (size_t i = 0; i < mark.labels.size(); ++i)
      svg.text({best.x, best.y + kLineHeight * double(i) + 12.5}, mark.labels[i], {.size = kLabelSize, .color = color});
  }

  double penalty(const Box &box) const {
    double cost = 0;
    if (box.x < kLeft + 4 || box.x + box.width > kWidth - kRight - 4 || box.y < kTop + 2 ||
        box.y + box.height > kHeight - kBottom - 2)
      cost += 10000;
    for (const Box &other : taken)
      if (box.overlaps(other)) cost += 400;
    for (SvgPoint p : lines)
      if (Box{box.x - 3, box.y - 3, box.width + 6, box.height + 6}.holds(p)) cost += 25;
    return cost;
  }

  void drawLegend() {
    double x = kLeft;
    for (size_t i = 0; i < steps.size(); ++i) {
      const StepShape &shape = steps[i].shape;
      std::string text = std::to_string(shape.rows) + (shape.rows == 1 ? " row" : " rows") +
                         (shape.depth ? " at depth " + std::to_string(shape.depth) : "") +
                         (steps[i].steps > 0 ? ", measured" : ", at its limit");
      drawMark({x + 7, 82}, i);
      svg.text({x + 20, 86.5}, text, {.size = 13, .color = kInk});
      x += 44 + Svg::widthOf(text, 13);
    }
  }

  const HostRates &host;
  const std::vector<StepReport> &steps;
  double lowX, highX, lowY, highY; // exponents of ten
  Svg svg{kWidth, kHeight};
  std::pair<SvgPoint, SvgPoint> slope; // of memory, as it is drawn
  std::vector<SvgPoint> lines;         // points of what labels should not hide
  std::vector<Box> taken;
  std::vector<Mark> marks;
};

} // namespace

std::string plotRoofline(const std::string &title, const std::string &subtitle, const HostRates &host,
                         const std::vector<StepReport> &steps) {
  return Roofline(host, steps).draw(title, subtitle);
}

} // namespace llmc::cli
