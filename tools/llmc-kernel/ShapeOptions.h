// The shape of a kernel's operands on the command line.
#pragma once
#include "tools/llmc-kernel/Catalogue.h"
#include "tools/llmc/Usage.h"

namespace llmc::tool {

/// Names of all rows, for the command line.
std::vector<std::string> kernelNames();

/// The richest target that runs here, with what the system grants this process: it is asked for tiles.
llvm::Expected<Target> usableTarget();

/// A kernel and what it is to work on.
struct Chosen {
  Row row;
  Accepted accepted;
};

/// A shape on the command line, and the descriptor that the row makes of it.
struct ShapeOptions {
  std::string name, target = "native", offset = "none", scale = "f16", only;
  Shape shape;

  void add(CLI::App &app);
  /// The first descriptor of the shape that the row accepts for `on`; none is an error with all refusals.
  llvm::Expected<Chosen> resolve(const Target &on);
};

} // namespace llmc::tool
