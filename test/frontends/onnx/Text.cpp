#include "Text.h"
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Import.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>
#include <onnx/defs/parser.h>

namespace llmc::test {

::onnx::ModelProto parseModel(llvm::StringRef text, int opset) {
  std::string whole = "<ir_version: 8, opset_import: [\"\": " + std::to_string(opset) +
                      ", \"com.microsoft\": 1, \"ai.onnx.preview.training\": 1, \"local\": 1]>\n" + text.str();
  ::onnx::ModelProto model;
  ::onnx::OnnxParser parser(whole.c_str());
  auto status = parser.Parse(model);
  EXPECT_TRUE(status.IsOK()) << status.ErrorMessage() << "\n" << whole;
  return model;
}

std::string importModel(const ::onnx::ModelProto &model, llvm::StringRef path) {
  std::string bytes = model.SerializeAsString(), text;
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  llvm::Expected<ImportedModel> imported = importOnnx(InputFile::view(path, bytes), context);
  if (!imported) return "error: " + llvm::toString(imported.takeError());
  llvm::raw_string_ostream out(text);
  imported->module->print(out, mlir::OpPrintingFlags().elideLargeElementsAttrs(5000));
  EXPECT_TRUE(roundTrips(text)) << text;
  return text;
}

std::string importText(llvm::StringRef text, int opset, Edit edit) {
  ::onnx::ModelProto model = parseModel(text, opset);
  edit(model);
  return importModel(model);
}

bool roundTrips(const std::string &module) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<mlir::func::FuncDialect, llm::LlmDialect>();
  mlir::OwningOpRef<mlir::ModuleOp> parsed = mlir::parseSourceString<mlir::ModuleOp>(module, &context);
  if (!parsed) return false;
  std::string again;
  llvm::raw_string_ostream out(again);
  parsed->print(out, mlir::OpPrintingFlags().elideLargeElementsAttrs(5000));
  return again == module;
}

} // namespace llmc::test
