// Any bytes as an ONNX model.
#include "frontends/onnx/Import.h"
#include "mlir/IR/MLIRContext.h"
#include "passes/raise/Raise.h"

using namespace llmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto model = importOnnx(InputFile::view("model.onnx", bytes), context);
  if (!model) {
    llvm::consumeError(model.takeError());
    return 0;
  }
  // What imports must raise or be refused by a diagnostic.
  mlir::ScopedDiagnosticHandler quiet(&context, [](mlir::Diagnostic &) { return mlir::success(); });
  mlir::PassManager passes(&context);
  buildRaisePipeline(passes);
  (void)passes.run(*model->module);
  return 0;
}
