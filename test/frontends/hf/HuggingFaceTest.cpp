// Model folders: every Llama fixture against the reference's logits, what the module looks like, and refusals.
#include "dialects/llm/Decoder.h"
#include "frontends/hf/Import.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "test/frontends/hf/ModelFolder.h"
#include "test/frontends/support/Golden.h"
#include <gtest/gtest.h>

using namespace llmc;
using llmc::test::ModelFolder;

static const std::string kData = std::string(LLMC_TEST_DATA) + "/hf/";

static ImportedModel import(const std::string &path, mlir::MLIRContext &context) {
  auto model = importHuggingFace(path, context);
  if (model) return std::move(*model);
  ADD_FAILURE() << llvm::toString(model.takeError());
  return {};
}

static std::string refusal(const std::string &path) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto model = importHuggingFace(path, context);
  return model ? "accepted" : llvm::toString(model.takeError());
}

class HuggingFaceFixture : public testing::TestWithParam<const char *> {};

TEST_P(HuggingFaceFixture, AgreesWithTheReference) {
  mlir::MLIRContext context;
  std::string folder = kData + GetParam();
  EXPECT_TRUE(looksLikeHuggingFace(folder));
  ImportedModel model = import(folder, context);
  ASSERT_TRUE(model.module);
  EXPECT_TRUE(mlir::succeeded(mlir::verify(*model.module)));
  EXPECT_EQ(model.name, GetParam());
  test::expectGolden(model, folder);
}

INSTANTIATE_TEST_SUITE_P(All, HuggingFaceFixture,
                         testing::Values("llama-mha", "llama-gqa-tied", "llama-bias-headdim", "llama-sharded-mixed",
                                         "llama-mixed-dtype", "llama3-rope", "llama-yarn", "llama-yarn-full",
                                         "llama-linear", "llama-dynamic", "llama-dynamic-cross",
                                         "llama-gptq-v1-desc-act", "llama-gptq-v1-g128-sym", "llama-gptq-v1-g64-asym",
                                         "llama-gptq-v2-g64-asym", "llama-awq-gemm-g128", "llama-autoround-g128-sym",
                                         "llama-ct-w4a16-g128-sym", "llama-bnb-nf4", "mixtral", "qwen3", "qwen3-moe"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

static std::vector<std::string> names(mlir::Block &block) {
  std::vector<std::string> result;
  for (mlir::Operation &op : block)
    if (!mlir::isa<llm::GetWeightOp>(op)) result.push_back(op.getName().getStringRef().str());
  return result;
}

TEST(HuggingFace, OpsAreInCanonicalOrder) {
  mlir::MLIRContext context;
  ImportedModel model = import(kData + "llama-mha", context);
  auto step = model.module->lookupSymbol<mlir::func::FuncOp>(llm::kStep);
  std::vector<std::string> expected = {"llm.embed"};
  for (int layer = 0; layer < 2; ++layer)
    for (const char *op : {"llm.rms_norm", "llm.linear", "llm.linear", "llm.linear", "llm.rope", "llm.rope",
                           "llm.attention", "llm.linear", "llm.add", "llm.rms_norm", "llm.linear", "llm.linear",
                           "llm.gated_mul", "llm.linear", "llm.add"})
      expected.push_back(op);
  for (const char *op : {"llm.select_rows", "llm.rms_norm", "llm.linear", "func.return"}) expected.push_back(op);
  EXPECT_EQ(names(step.getBody().front()), expected);
  // The residual is the first operand of an addition.
  for (auto add : step.getOps<llm::AddOp>()) EXPECT_TRUE(add.getB().getDefiningOp<llm::LinearOp>());
}

TEST(HuggingFace, WeightsReferToTheFiles) {
  mlir::MLIRContext context;
  ImportedModel model = import(kData + "llama-sharded-mixed", context);
  ASSERT_EQ(model.files.size(), 4u);
  EXPECT_EQ(model.files[2], kData + "llama-sharded-mixed/model-00003-of-00004.safetensors");
  std::vector<std::string> symbols;
  for (auto weight : model.module->getOps<llm::WeightOp>()) symbols.push_back(weight.getSymName().str());
  ASSERT_EQ(symbols.size(), 2u + 3 * 9 + 1);
  EXPECT_EQ(symbols[0], "model.embed_tokens.weight");
  EXPECT_EQ(symbols[1], "model.layers.0.input_layernorm.weight");
  EXPECT_EQ(symbols[2], "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(symbols.back(), "lm_head.weight");
  auto integer = [&](llvm::StringRef name) { return (*model.module)->getAttrOfType<mlir::IntegerAttr>(name).getInt(); };
  EXPECT_EQ(integer(llm::kVocab), 320);
  EXPECT_EQ(integer(llm::kHidden), 64);
  EXPECT_EQ(integer(llm::kLayers), 3);
  EXPECT_EQ(integer(llm::kMaxContext), 256);
}

TEST(HuggingFace, ElementTypesAreThoseOfTheFile) {
  mlir::MLIRContext context;
  ImportedModel model = import(kData + "llama-mixed-dtype", context);
  auto element = [&](const char *name) {
    return model.module->lookupSymbol<llm::WeightOp>(name).getTensorType().getElementType();
  };
  EXPECT_TRUE(element("model.norm.weight").isF32());
  EXPECT_TRUE(element("lm_head.weight").isF16());
  EXPECT_TRUE(element("model.layers.0.self_attn.q_proj.weight").isBF16());
}

TEST(HuggingFace, TiedHeadIsTheEmbedding) {
  mlir::MLIRContext context;
  ImportedModel model = import(kData + "llama-gqa-tied", context);
  EXPECT_FALSE(model.module->lookupSymbol("lm_head.weight"));
  EXPECT_EQ(model.text.eosIds, (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(model.text.bosId, 1);
}

TEST(HuggingFace, DynamicRopeIsLeftToTheStep) {
  mlir::MLIRContext context;
  ImportedModel model = import(kData + "llama-dynamic-cross", context);
  auto step = model.module->lookupSymbol<mlir::func::FuncOp>(llm::kStep);
  llm::RopeAttr rope = (*step.getOps<llm::RopeOp>().begin()).getRope();
  EXPECT_EQ(rope.getDynamicMax(), 14);
  EXPECT_EQ(float(rope.getDynamicBase()), 100.0f);
  EXPECT_EQ(float(rope.getDynamicFactor()), 4.0f);
}

TEST(HuggingFace, TextAssets) {
  ModelFolder folder;
  folder.write("tokenizer.json", R"({"version": "1.0"})");
  folder.write("tokenizer_config.json", R"({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": null,
      "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  folder.write("special_tokens_map.json", R"({"bos_token": "no", "eos_token": "</s>"})");
  folder.write("generation_config.json", R"({"eos_token_id": [7, 9, 7, 1000000], "bos_token_id": 3})");
  mlir::MLIRContext context;
  ImportedModel model = import(folder.path(), context);
  EXPECT_EQ(model.text.tokenizerJson, R"({"version": "1.0"})");
  EXPECT_FALSE(model.text.isVocabularySpec);
  EXPECT_FALSE(model.text.addBos);
  EXPECT_EQ(model.text.chatTemplate, "D");
  EXPECT_EQ(model.text.bosToken, "<s>");
  EXPECT_EQ(model.text.eosToken, "</s>");
  EXPECT_EQ(model.text.bosId, 3);
  EXPECT_EQ(model.text.eosIds, (std::vector<int64_t>{7, 9}));
  folder.write("chat_template.jinja", "J");
  EXPECT_EQ(import(folder.path(), context).text.chatTemplate, "J");
}

TEST(HuggingFace, NamesAreNotPaths) {
  ModelFolder folder;
  mlir::MLIRContext context;
  folder.setConfig("_name_or_path", "meta-llama/Llama-2-7b");
  EXPECT_EQ(import(folder.path(), context).name, "meta-llama/Llama-2-7b");
  folder.setConfig("_name_or_path", "/home/somebody/model");
  EXPECT_EQ(import(folder.path(), context).name, folder.name());
}

TEST(HuggingFace, FoldersThatAreNoModels) {
  ModelFolder folder;
  folder.remove("model.safetensors");
  EXPECT_EQ(refusal(folder.path()),
            folder.path() + ": found no weights, expected model.safetensors or model.safetensors.index.json");
  folder.write("pytorch_model.bin", "x");
  EXPECT_NE(refusal(folder.path()).find("convert the checkpoint to safetensors"), std::string::npos);
  EXPECT_TRUE(looksLikeHuggingFace(folder.path()));
  folder.remove("config.json");
  EXPECT_EQ(refusal(folder.path()), folder.path() + ": found no config.json, expected one beside the weights");
  EXPECT_FALSE(looksLikeHuggingFace(folder.path()));
  EXPECT_FALSE(looksLikeHuggingFace(folder.path() + "/absent"));
  EXPECT_NE(refusal(folder.path() + "/absent/model.safetensors").find("cannot open"), std::string::npos);
}

TEST(HuggingFace, LinksStayInTheFolder) {
  ModelFolder folder, other;
  folder.remove("model.safetensors");
  folder.link("model.safetensors", other.path() + "/model.safetensors");
  EXPECT_EQ(refusal(folder.path()), folder.path() + "/model.safetensors: found a symbolic link out of the folder, "
                                                    "expected a file in the folder");
  folder.remove("model.safetensors");
  folder.makeFifo("model.safetensors");
  EXPECT_EQ(refusal(folder.path()), folder.path() + "/model.safetensors: found a FIFO, expected a regular file");
}

TEST(HuggingFace, HubCacheLinksToItsBlobs) {
  ModelFolder repository;
  std::string snapshot = repository.path() + "/snapshots/0123abcd";
  repository.makeFolder("snapshots"), repository.makeFolder("snapshots/0123abcd"), repository.makeFolder("blobs");
  for (const char *name : {"config.json", "model.safetensors"}) {
    repository.rename(name, std::string("blobs/") + name);
    repository.link(std::string("snapshots/0123abcd/") + name, std::string("../../blobs/") + name);
  }
  EXPECT_EQ(refusal(snapshot), "accepted");
}

TEST(HuggingFace, ShardNamesStayInTheFolder) {
  struct Case {
    const char *shard, *message;
  };
  const Case cases[] = {
      {"../model.safetensors",
       "found the file name '../model.safetensors', expected the name of a file in this folder"},
      {"/etc/passwd", "found the file name '/etc/passwd'"},
      {"a\\\\b", "found the file name 'a\\b'"},
      {"..", "found the file name '..'"},
      {"", "found the file name ''"},
      {"shard.safetensors", "shard.safetensors: found no such file"},
      {"config.json", "config.json: header length: found"},
  };
  for (const Case &row : cases) {
    ModelFolder folder;
    folder.remove("model.safetensors");
    folder.write("model.safetensors.index.json",
                 R"({"weight_map": {"model.norm.weight": ")" + std::string(row.shard) + "\"}}");
    EXPECT_NE(refusal(folder.path()).find(row.message), std::string::npos) << refusal(folder.path());
  }
}

TEST(HuggingFace, IndexesMustAgreeWithTheShards) {
  ModelFolder folder;
  folder.rename("model.safetensors", "a.safetensors");
  const std::pair<const char *, const char *> cases[] = {
      {R"({"weight_map": {"model.norm.weight": "a.safetensors"}})", "accepted"},
      {R"({"weight_map": {"model.norm.wait": "a.safetensors"}})",
       "model.norm.wait: found no tensor of that name in a.safe"},
      {R"({"weight_map": {"model.norm.weight": 1}})",
       "weight_map.model.norm.weight: found 1, expected the name of a file"},
      {R"({"weight_map": {}})", "weight_map: found an object"},
      {R"({"weight_map": {"a": "b", "a": "c"}})", "found a second member named 'a', expected one"},
      {R"([])", "found a list, expected an object"},
  };
  for (auto [index, message] : cases) {
    folder.write("model.safetensors.index.json", index);
    EXPECT_NE(refusal(folder.path()).find(message), std::string::npos) << refusal(folder.path());
  }
  folder.copy("a.safetensors", "b.safetensors");
  folder.write("model.safetensors.index.json", R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})");
  EXPECT_NE(refusal(folder.path()).find("found a tensor that"), std::string::npos);
}
