// Any bytes as a GGUF file: the tables, the model and the vocabulary made of them.
#include "frontends/File.h"
#include "frontends/gguf/Import.h"
#include "mlir/IR/MLIRContext.h"

using namespace llmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto model = importGguf(InputFile::view("model.gguf", bytes), context);
  if (!model) llvm::consumeError(model.takeError());
  return 0;
}
