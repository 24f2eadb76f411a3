// Malformed models are refused by the importer or by the raising passes, with a message that names the place.
#include "support/Hostile.h"
#include "frontends/onnx/Import.h"
#include "fuzz/MutateOnnx.h"
#include "mlir/IR/Diagnostics.h"
#include "passes/raise/Raise.h"
#include "llvm/Support/FileSystem.h"
#include <gtest/gtest.h>
#include <unistd.h>

using namespace llmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const std::string kHostile = std::string(LLMC_TEST_HOSTILE) + "/onnx";

/// external-symlink.onnx needs a link out of the folder; links are not stored.
class HostileFolder : public testing::Environment {
  void SetUp() override { made = symlink("../outside.bin", (kHostile + "/link.bin").c_str()) == 0; }
  void TearDown() override {
    if (made) unlink((kHostile + "/link.bin").c_str());
  }
  bool made = false;
};
static testing::Environment *const kFolder = testing::AddGlobalTestEnvironment(new HostileFolder);

/// The decomposed graph of optimum-onnx imports; raising it is another matter.
static bool isDecomposed(llvm::StringRef path) { return path.ends_with("control-float.onnx"); }

static llvm::Error compile(llvm::StringRef path) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  llvm::Expected<ImportedModel> model = importOnnx(path, context);
  if (!model) return model.takeError();
  if (isDecomposed(path)) return llvm::Error::success();
  std::string reason;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    if (reason.empty() && diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error) reason = diagnostic.str();
    return mlir::success();
  });
  mlir::PassManager passes(&context);
  buildRaisePipeline(passes);
  if (mlir::succeeded(passes.run(*model->module))) return llvm::Error::success();
  return llvm::createStringError(path + ": " + reason);
}

class HostileOnnx : public testing::TestWithParam<test::HostileCase> {};
TEST_P(HostileOnnx, IsHeldAgainstTheIndex) { test::expectHostile(GetParam(), compile); }
INSTANTIATE_TEST_SUITE_P(All, HostileOnnx, testing::ValuesIn(test::hostileCases(kHostile)));

TEST(HostileOnnx, SurvivesMutations) {
  for (const char *name : {"control-inline.onnx", "control-external.onnx", "control-float.onnx"}) {
    auto file = llvm::cantFail(InputFile::open(kHostile + "/" + name));
    test::forEachMutation(file.bytes(), 300,
                          [](llvm::StringRef bytes) { LLVMFuzzerTestOneInput(bytes.bytes_begin(), bytes.size()); });
    // The nodes of control-inline come first; its tensors' headers are further on.
    test::forEachMutation(file.bytes().take_back(file.size() / 2), 50, [&](llvm::StringRef tail) {
      std::string bytes = file.bytes().drop_back(file.size() / 2).str() + tail.str();
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    });
  }
}

/// Changes that keep the wire form reach the operators, functions and subgraphs.
TEST(HostileOnnx, SurvivesChangedModels) {
  for (const char *name : {"control-inline.onnx", "control-float.onnx"}) {
    auto file = llvm::cantFail(InputFile::open(kHostile + "/" + name));
    std::string bytes = file.bytes().str(), changed = bytes;
    for (uint64_t seed = 0; seed < 400; ++seed) {
      changed = test::mutateOnnx(seed % 8 ? changed : bytes, seed); // up to eight rounds of changes on each other
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(changed.data()), changed.size());
    }
  }
}

/// What the fuzzer found once.
TEST(HostileOnnx, SurvivesWhatWasFound) {
  std::error_code error;
  for (llvm::sys::fs::directory_iterator entry(std::string(LLMC_TEST_DATA) + "/fuzz/onnx", error), end;
       entry != end && !error; entry.increment(error)) {
    auto file = llvm::cantFail(InputFile::open(entry->path()));
    LLVMFuzzerTestOneInput(file.bytes().bytes_begin(), file.size());
  }
}
