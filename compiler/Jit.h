// The same object as an artifact's, loaded into this process.
#pragma once
#include "compiler/Compiler.h"
#include "llmc.h"

namespace llmc {

/// A model compiled in memory: object and runtime in ORC, weights packed into anonymous memory (2 MB aligned).
class JitModel {
public:
  static llvm::Expected<std::unique_ptr<JitModel>> create(Compilation &compilation, const Progress &progress = {});
  virtual ~JitModel() = default;
  /// Address of a function of llmc.h, or null.
  virtual void *lookup(llvm::StringRef name) = 0;
  /// For llmc_open_options.
  virtual const void *weights() const = 0;
  virtual uint64_t weightBytes() const = 0;
};

} // namespace llmc
