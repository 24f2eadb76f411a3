// A kernel that can be called in this process, for tests and llmc-kernel.
#pragma once
#include "codegen/Kernel.h"
#include "llmc_kernel.h"
#include <memory>

namespace llmc {

/// Executable memory that holds one kernel, alive as long as this object.
struct Executable {
  virtual ~Executable() = default;
  /// Machine code is mapped as it is; MLIR text is compiled for `target`.
  static llvm::Expected<std::unique_ptr<Executable>> create(const Code &code, const Target &target);

  llmc_kernel_fn function = nullptr;
};

} // namespace llmc
