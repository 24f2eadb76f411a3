#include "frontends/onnx/Import.h"
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Graph.h"
#include "frontends/onnx/Sidecars.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/Path.h"
#include <google/protobuf/stubs/logging.h>

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc {
namespace onnx {
namespace {

// Versions whose operators have the forms that Check.cpp describes.
constexpr int64_t kOldestIr = 3, kNewestIr = 14, kMicrosoftOpset = 1;
constexpr size_t kMostSkeleton = (size_t(1) << 31) - 1; // bytes of a protobuf message

llvm::Expected<std::map<std::string, int64_t>> readOpsets(const ::onnx::ModelProto &model, StringRef path) {
  std::map<std::string, int64_t> opsets;
  for (const auto &entry : model.opset_import()) {
    std::string domain = entry.domain() == "ai.onnx" ? "" : entry.domain();
    int64_t version = entry.version();
    if (auto [at, added] = opsets.try_emplace(domain, version); !added && at->second != version)
      return inputError(path, "opset_import", "domain '" + printable(domain) + "' twice", "once");
    bool standard = domain.empty();
    if ((standard && (version < kOldestOpset || version > kNewestOpset)) ||
        (domain == "com.microsoft" && version != kMicrosoftOpset))
      return inputError(path, "opset_import",
                        "version " + Twine(version) + " of domain '" + (standard ? "ai.onnx" : domain) + "'",
                        standard ? Twine(kOldestOpset) + " to " + Twine(kNewestOpset) : Twine(kMicrosoftOpset),
                        "onnx.version_converter changes the version of a model");
  }
  if (opsets.empty()) return inputError(path, "opset_import", "no version of any domain", "that of domain 'ai.onnx'");
  return opsets;
}

/// Reads the file but for what its tensors hold.
llvm::Error parse(const InputFile &file, ::onnx::ModelProto &model) {
  llvm::Expected<std::string> skeleton = scanModel(file.path(), file.bytes());
  if (!skeleton) return skeleton.takeError();
  if (skeleton->size() > kMostSkeleton)
    return inputError(file.path(), "", Twine(skeleton->size()) + " bytes beside the tensors' data", "less than 2 GB");
  // Protobuf bounds the depth of messages; what remains unread would be a second model.
  google::protobuf::LogSilencer silence;
  if (!model.ParseFromArray(skeleton->data(), int(skeleton->size())))
    return inputError(file.path(), "", "bytes that protobuf cannot parse", "an ONNX model",
                      "the file is damaged, of another kind, or has more than 30 nested subgraphs");
  if (!model.has_graph()) return inputError(file.path(), "", "no graph", "an ONNX model with a graph");
  if (model.ir_version() < kOldestIr || model.ir_version() > kNewestIr)
    return inputError(file.path(), "ir_version", Twine(model.ir_version()),
                      Twine(kOldestIr) + " to " + Twine(kNewestIr));
  return llvm::Error::success();
}

llvm::Error verifyModule(ModuleOp module, StringRef path) {
  std::string reason;
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &diagnostic) {
    if (reason.empty()) reason = diagnostic.str();
    return success();
  });
  if (succeeded(verify(module))) return llvm::Error::success();
  return llvm::createStringError(path + ": the graph does not verify: " + printable(reason));
}
} // namespace
} // namespace onnx

bool looksLikeOnnx(StringRef path) {
  llvm::Expected<InputFile> file = InputFile::open(path);
  if (file) return onnx::startsLikeModel(file->bytes());
  llvm::consumeError(file.takeError());
  return false;
}

llvm::Expected<ImportedModel> importOnnx(StringRef path, MLIRContext &context) {
  llvm::Expected<InputFile> file = InputFile::open(path);
  return file ? importOnnx(*file, context) : file.takeError();
}

llvm::Expected<ImportedModel> importOnnx(const InputFile &file, MLIRContext &context) {
  context.loadDialect<func::FuncDialect, llm::LlmDialect, wq::WqDialect>();
  StringRef path = file.path();
  if (file.size() == 0) return inputError(path, "", "an empty file", "an ONNX model");
  ::onnx::ModelProto model;
  if (auto error = onnx::parse(file, model)) return error;
  llvm::Expected<std::map<std::string, int64_t>> opsets = onnx::readOpsets(model, path);
  if (!opsets) return opsets.takeError();

  onnx::DataFiles files(path);
  onnx::TensorReader tensors{&context, file, files};
  llvm::Expected<OwningOpRef<ModuleOp>> module = onnx::importGraph(model, *opsets, tensors);
  if (!module) return module.takeError();
  if (auto error = onnx::recoverRopes(**module, tensors)) return error;
  ImportedModel imported;
  imported.module = std::move(*module);
  imported.files = files.paths();
  imported.name = llvm::sys::path::filename(llvm::sys::path::parent_path(path)).str();
  if (imported.name.empty()) imported.name = llvm::sys::path::stem(path).str();
  if (auto error = onnx::readSidecars(path, imported)) return error;
  if (auto error = onnx::verifyModule(*imported.module, path)) return error;
  return imported;
}

} // namespace llmc
