// The rows of all families, without their types: what llmc-kernel does with any of them.
#pragma once
#include "tools/llmc-kernel/Case.h"
#include "tools/probe/Peaks.h"
#include <string>
#include <vector>

namespace llmc::tool {

/// A descriptor that a row accepts, with what is done to it.
struct Accepted {
  std::string what;
  probe::Kind kind; // of its products
  std::function<llvm::Expected<Code>()> emit;
  std::function<std::unique_ptr<Case>(bool forTiming)> makeCase;
};

/// One row of the catalogue.
struct Row {
  const char *family;
  std::string name;
  Arch arch;
  bool anyArch;
  Features needs;
  /// The descriptors of `shape` that the row accepts for `target`; `refused` gets a reason for each other one.
  std::function<std::vector<Accepted>(const Shape &shape, const Target &target, std::vector<std::string> *refused)>
      accepted;

  bool serves(const Target &target) const {
    return (anyArch || arch == target.arch) && target.features.contains(needs);
  }
};

/// All rows, family by family, in the order of the tables.
std::vector<Row> catalogue();
/// The row of that name, or an error that lists the names.
llvm::Expected<Row> findRow(const std::string &name);

} // namespace llmc::tool
