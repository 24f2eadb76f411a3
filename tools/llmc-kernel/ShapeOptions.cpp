#include "tools/llmc-kernel/ShapeOptions.h"
#include "compiler/NativeTarget.h"
#include "tools/probe/Peaks.h"
#include "llvm/ADT/StringExtras.h"

namespace llmc::tool {

llvm::Expected<Target> usableTarget() {
  llvm::Expected<Target> host = resolveTarget("native");
  if (host) host->features = host->features - (host->features - probe::usableFeatures());
  return host;
}

std::vector<std::string> kernelNames() {
  std::vector<std::string> names;
  for (const Row &row : catalogue()) names.push_back(row.name);
  return names;
}

void ShapeOptions::add(CLI::App &app) {
  auto number = [&](const char *option, int64_t &value, const char *help) {
    cli::restrict(app.add_option(option, value, help), cli::atLeast(1, "N"))->capture_default_str();
  };
  cli::restrict(app.add_option("NAME", name, "a row of llmc-kernel list"), cli::oneOf(kernelNames()).description(""))
      ->required();
  number("--n", shape.n, "matmul: outputs; rowwise: columns; attention: heads x 64");
  number("--k", shape.k, "matmul: inputs; embed: rows of the table; attention: positions in the cache");
  number("--rows", shape.rows, "tokens of the step");
  number("--group-size", shape.group, "of integer weights");
  auto word = [&](const char *option, std::string &value, const char *help, std::vector<std::string> values) {
    cli::restrict(app.add_option(option, value, help), cli::oneOf(std::move(values)))->capture_default_str();
  };
  word("--scale", scale, "of integer weights", {"f16", "bf16", "f32"});
  word("--offset", offset, "of integer weights", {"none", "zero-point", "min-f16", "min-f32"});
  app.add_option("--op", only, "the first descriptor whose description starts with this: rms_norm, embed, ...");
}

llvm::Expected<Chosen> ShapeOptions::resolve(const Target &on) {
  shape.scale = scale == "f16" ? ScaleType::F16 : scale == "bf16" ? ScaleType::BF16 : ScaleType::F32;
  shape.offset = offset == "none"         ? Offset::None
                 : offset == "zero-point" ? Offset::ZeroPoint
                 : offset == "min-f16"    ? Offset::MinF16
                                          : Offset::MinF32;
  llvm::Expected<Row> row = findRow(name);
  if (!row) return row.takeError();
  std::vector<std::string> refused;
  for (Accepted &one : row->accepted(shape, on, &refused))
    if (llvm::StringRef(one.what).starts_with(only)) return Chosen{*row, one};
  std::sort(refused.begin(), refused.end());
  refused.erase(std::unique(refused.begin(), refused.end()), refused.end());
  return llvm::createStringError(name + ": accepts nothing of this shape: " + llvm::join(refused, "; "));
}

} // namespace llmc::tool
