#include "frontends/hf/TensorReader.h"
#include "llvm/ADT/StringExtras.h"

namespace llmc::hf {

static std::string oneOf(llvm::ArrayRef<llvm::StringRef> dtypes) {
  std::string text;
  for (size_t i = 0; i < dtypes.size(); ++i)
    text += (i == 0 ? "" : i + 1 < dtypes.size() ? ", " : " or ") + dtypes[i].str();
  return text;
}

TensorReader::TensorReader(mlir::MLIRContext &context, const Checkpoint &checkpoint)
    : context(context), checkpoint(checkpoint) {
  context.loadDialect<llm::LlmDialect, wq::WqDialect>();
}

void TensorReader::fail(const std::string &name, const llvm::Twine &found, const llvm::Twine &expected,
                        const llvm::Twine &hint) {
  if (!hasError) fail(inputError(checkpoint.name(), name, found, expected, hint));
}

void TensorReader::fail(llvm::Error other) {
  if (hasError) return llvm::consumeError(std::move(other));
  error = std::move(other);
  hasError = true;
}

llvm::Error TensorReader::takeError() {
  llvm::Error taken = std::move(error);
  error = llvm::Error::success();
  hasError = false;
  return taken;
}

Checkpoint::Place TensorReader::tensor(const std::string &name, llvm::ArrayRef<int64_t> shape,
                                       llvm::ArrayRef<llvm::StringRef> dtypes) {
  if (hasError) return {};
  Checkpoint::Place place = checkpoint.find(name);
  if (!place.tensor)
    fail(name, "no such tensor", "one of shape " + shapeText(shape) + ", as the config says",
         checkpoint.files().size() == 1 && name == "lm_head.weight" ? "tie_word_embeddings is false" : "");
  else if (!llvm::is_contained(dtypes, place.tensor->dtype))
    fail(name, place.tensor->dtype, oneOf(dtypes));
  else if (llvm::ArrayRef<int64_t>(place.tensor->shape) != shape)
    fail(name, "shape " + shapeText(place.tensor->shape), shapeText(shape) + ", as the config says");
  return hasError ? Checkpoint::Place() : place;
}

Checkpoint::Place TensorReader::vector(const std::string &name, llvm::StringRef dtype) {
  const Tensor *found = checkpoint.find(name).tensor;
  return tensor(name, {found && found->shape.size() == 1 ? found->shape[0] : 1}, {dtype});
}

llm::StorageAttr TensorReader::storage(const Checkpoint::Place &place) const {
  return llm::StorageAttr::get(&context, int64_t(place.file), int64_t(place.tensor->offset),
                               int64_t(place.tensor->bytes));
}

llm::DecoderWeight TensorReader::weight(const std::string &name, llvm::ArrayRef<int64_t> shape) {
  Checkpoint::Place place = tensor(name, shape, kFloats);
  if (!place.tensor) return {};
  mlir::Type element = mlir::Float32Type::get(&context);
  if (place.tensor->dtype == "F16") element = mlir::Float16Type::get(&context);
  if (place.tensor->dtype == "BF16") element = mlir::BFloat16Type::get(&context);
  return {name, mlir::RankedTensorType::get(shape, element), {storage(place)}};
}

void TensorReader::checkTiedHead(const std::string &head, const std::string &embedding) {
  Checkpoint::Place h = checkpoint.find(head), e = checkpoint.find(embedding);
  if (h.tensor && e.tensor && (h.tensor->dtype != e.tensor->dtype || checkpoint.bytes(h) != checkpoint.bytes(e)))
    fail(head, "a tensor that differs from " + embedding, "none, or the same values, as tie_word_embeddings is true");
}

} // namespace llmc::hf
