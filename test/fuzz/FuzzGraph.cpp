// Any bytes as an ONNX model that is compiled the plain way, without raising, down to loops on tensors.
#include "frontends/onnx/Import.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "passes/graph/Graph.h"

using namespace llmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  static const mlir::DialectRegistry kRegistry = [] {
    mlir::DialectRegistry registry;
    registerGraphDialects(registry);
    return registry;
  }();
  mlir::MLIRContext context(kRegistry, mlir::MLIRContext::Threading::DISABLED);
  auto model = importOnnx(InputFile::view("model.onnx", bytes), context);
  if (!model) {
    llvm::consumeError(model.takeError());
    return 0;
  }
  mlir::ScopedDiagnosticHandler quiet(&context, [](mlir::Diagnostic &) { return mlir::success(); });
  mlir::PassManager passes(&context);
  buildLinalgPipeline(passes);
  (void)passes.run(*model->module);
  return 0;
}
