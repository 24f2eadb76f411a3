// Makes emitted kernel code callable in this process.
#pragma once
#include "codegen/Kernel.h"
#include "llmc_kernel.h"
#include <memory>

namespace llmc::test {

/// Executable memory that holds one kernel, alive as long as this object.
struct Callable {
  virtual ~Callable() = default;
  llmc_kernel_fn function = nullptr;
};

/// Machine code is mapped as it is; MLIR text is compiled for `target`.
llvm::Expected<std::unique_ptr<Callable>> makeCallable(const Code &code, const Target &target);
/// The MLIR part of it (test/support/CallableMlir.cpp).
llvm::Expected<std::unique_ptr<Callable>> compileMlirKernel(const std::string &mlir, const Target &target);

/// The features of this machine's CPU that the kernels may use.
Features hostFeatures();

} // namespace llmc::test
