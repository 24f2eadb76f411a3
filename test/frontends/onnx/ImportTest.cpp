#include "frontends/onnx/Import.h"
#include "dialects/llm/Llm.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/FileSystem.h"
#include <gtest/gtest.h>

using namespace llmc;

static const std::string kFixtures = std::string(LLMC_TEST_DATA) + "/onnx";

/// Folders of test/data/onnx, in order.
static std::vector<std::string> fixtures() {
  std::vector<std::string> names;
  std::error_code error;
  for (llvm::sys::fs::directory_iterator entry(kFixtures, error), end; entry != end && !error; entry.increment(error))
    names.push_back(llvm::StringRef(entry->path()).rsplit('/').second.str());
  llvm::sort(names);
  return names;
}

class OnnxFixture : public testing::TestWithParam<std::string> {};

TEST_P(OnnxFixture, ImportsNodeByNode) {
  std::string path = kFixtures + "/" + GetParam() + "/model.onnx";
  EXPECT_TRUE(looksLikeOnnx(path));
  EXPECT_FALSE(looksLikeOnnx(path + ".data"));
  mlir::MLIRContext context;
  llvm::Expected<ImportedModel> model = importOnnx(path, context);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  EXPECT_TRUE(mlir::succeeded(mlir::verify(*model->module)));
  // The weights are beside the model or in it, and genai_config.json is there or not.
  bool beside = llvm::sys::fs::exists(path + ".data");
  ASSERT_EQ(model->files.size(), beside ? 2u : 1u);
  EXPECT_EQ(model->files[0], path);
  if (beside) { EXPECT_EQ(model->files[1], path + ".data"); }
  EXPECT_EQ(model->name, GetParam());
  bool config = llvm::sys::fs::exists(kFixtures + "/" + GetParam() + "/genai_config.json");
  EXPECT_EQ(model->text.eosIds, config ? std::vector<int64_t>{2} : std::vector<int64_t>());
  EXPECT_EQ(model->text.bosId, config ? 1 : -1);
  auto step = model->module->lookupSymbol<mlir::func::FuncOp>(llm::kStep);
  ASSERT_TRUE(step);
  unsigned nodes = 0;
  step.walk([&](llm::OnnxNodeOp node) {
    ++nodes;
    EXPECT_TRUE(mlir::isa<mlir::NameLoc>(node.getLoc()));
  });
  EXPECT_GE(nodes, 20u);
}
INSTANTIATE_TEST_SUITE_P(All, OnnxFixture, testing::ValuesIn(fixtures()), [](const auto &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(OnnxImport, RefersToInlineBytes) {
  mlir::MLIRContext context;
  std::string path = std::string(LLMC_TEST_HOSTILE) + "/onnx/control-inline.onnx";
  llvm::Expected<ImportedModel> model = importOnnx(path, context);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  EXPECT_EQ(model->files.size(), 1u);
  auto file = llvm::cantFail(InputFile::open(path));
  auto data = llvm::cantFail(InputFile::open(std::string(LLMC_TEST_HOSTILE) + "/onnx/model.onnx.data"));
  unsigned tensors = 0;
  model->module->walk([&](llm::OnnxTensorOp tensor) {
    // The external file of the same model has the embedding first.
    if (tensor.getName() != "model.embed_tokens.weight") return;
    ++tensors;
    llm::StorageAttr storage = tensor.getStorage();
    EXPECT_EQ(file.bytes().substr(storage.getOffset(), storage.getBytes()),
              data.bytes().take_front(storage.getBytes()));
  });
  EXPECT_EQ(tensors, 1u);
}

TEST(OnnxImport, FindsTheRopeBehindTables) {
  for (const char *name : {"genai-llama-fp32", "genai-llama-int4-cuda-fp16"}) {
    mlir::MLIRContext context;
    llvm::Expected<ImportedModel> model = importOnnx(kFixtures + "/" + name + "/model.onnx", context);
    ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
    llm::RopeConfig config;
    config.dim = 16;
    std::vector<float> expected = llvm::cantFail(llm::computeRope(config)).invFreq;
    unsigned found = 0;
    model->module->walk([&](llm::OnnxTensorOp tensor) {
      if (!tensor.getRope()) return;
      ++found;
      EXPECT_EQ(tensor.getIsCos(), tensor.getName() == "cos_cache");
      for (auto [f, want] : llvm::zip_equal(tensor.getRope()->getInvFreq(), expected)) EXPECT_EQ(float(f), want);
    });
    EXPECT_EQ(found, 2u) << name;
  }
}

TEST(OnnxImport, DoesNotTakeOtherFilesForModels) {
  std::string folder = std::string(LLMC_TEST_HOSTILE) + "/onnx/";
  for (const char *name : {"bytes-empty.onnx", "bytes-text.onnx", "bytes-html.onnx", "bytes-gzip.onnx",
                           "bytes-zeros.onnx", "bytes-ff.onnx", "bytes-lfs-pointer.onnx"})
    EXPECT_FALSE(looksLikeOnnx(folder + name)) << name;
  EXPECT_FALSE(looksLikeOnnx(folder));
  EXPECT_FALSE(looksLikeOnnx("/dev/zero"));
  EXPECT_TRUE(looksLikeOnnx(folder + "bytes-truncated-50.onnx")); // so that the message says that it is truncated
}
