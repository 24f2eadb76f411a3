// Tensors of a checkpoint, looked up by name and checked against what the config says.
#pragma once
#include "dialects/llm/Decoder.h"
#include "frontends/hf/Checkpoint.h"

namespace llmc::hf {

/// Keeps the first error; after it, every lookup finds nothing.
class TensorReader {
public:
  TensorReader(mlir::MLIRContext &context, const Checkpoint &checkpoint);
  TensorReader(const TensorReader &) = delete;
  ~TensorReader() { llvm::consumeError(std::move(error)); }

  bool has(const std::string &name) const { return checkpoint.find(name).tensor; }
  /// The tensor; one that is absent, or of another dtype or shape, is an error.
  Checkpoint::Place tensor(const std::string &name, llvm::ArrayRef<int64_t> shape,
                           llvm::ArrayRef<llvm::StringRef> dtypes);
  /// The same for a vector of any length.
  Checkpoint::Place vector(const std::string &name, llvm::StringRef dtype);
  /// A tensor of plain floats.
  llm::DecoderWeight weight(const std::string &name, llvm::ArrayRef<int64_t> shape);

  llm::StorageAttr storage(const Checkpoint::Place &place) const;
  llvm::StringRef bytes(const Checkpoint::Place &place) const { return checkpoint.bytes(place); }
  /// A tied head that the file has nevertheless must be the embedding: otherwise it is unclear which one is meant.
  void checkTiedHead(const std::string &head, const std::string &embedding);

  void fail(const std::string &name, const llvm::Twine &found, const llvm::Twine &expected,
            const llvm::Twine &hint = "");
  void fail(llvm::Error other);
  bool failed() const { return hasError; }
  llvm::Error takeError();
  /// What to call the checkpoint in messages.
  const std::string &file() const { return checkpoint.name(); }

  mlir::MLIRContext &context;

private:
  const Checkpoint &checkpoint;
  bool hasError = false;
  llvm::Error error = llvm::Error::success();
};

/// "F32", "F16" or "BF16", the dtypes of plain floats.
inline constexpr llvm::StringRef kFloats[] = {"F32", "F16", "BF16"};

} // namespace llmc::hf
