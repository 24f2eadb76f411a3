// GGUF files: every fixture against the reference's logits, hostile files, messages and seeded mutations.
#include "dialects/llm/Decoder.h"
#include "frontends/File.h"
#include "frontends/gguf/Import.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "test/frontends/gguf/GgufFile.h"
#include "test/frontends/support/Golden.h"
#include "test/frontends/support/Hostile.h"
#include "llvm/Support/JSON.h"
#include <gtest/gtest.h>

using namespace llmc;
using llmc::test::GgufFile;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const std::string kData = LLMC_TEST_DATA;

class GgufFixture : public testing::TestWithParam<const char *> {};

TEST_P(GgufFixture, AgreesWithTheReference) {
  mlir::MLIRContext context;
  std::string folder = kData + "/gguf/" + GetParam();
  EXPECT_TRUE(looksLikeGguf(folder + "/model.gguf"));
  auto model = importGguf(llvm::StringRef(folder + "/model.gguf"), context);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  EXPECT_TRUE(mlir::succeeded(mlir::verify(*model->module)));
  EXPECT_EQ(model->name, GetParam());
  EXPECT_TRUE(model->text.isVocabularySpec);
  EXPECT_FALSE(model->text.chatTemplate.empty());
  EXPECT_EQ(model->text.eosIds.size(), 1u);
  test::expectGolden(*model, folder);
}
INSTANTIATE_TEST_SUITE_P(All, GgufFixture,
                         testing::Values("gguf-llama-f16", "gguf-llama-q4_0", "gguf-llama-q4_1", "gguf-llama-q4_k_m",
                                         "gguf-llama-q6_k", "gguf-llama-q8_0"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class HostileGguf : public testing::TestWithParam<test::HostileCase> {};

TEST_P(HostileGguf, IsHeldAgainstTheIndex) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  test::expectHostile(GetParam(), [&](llvm::StringRef path) -> llvm::Error {
    auto model = importGguf(path, context);
    return model ? llvm::Error::success() : model.takeError();
  });
}
INSTANTIATE_TEST_SUITE_P(All, HostileGguf,
                         testing::ValuesIn(test::hostileCases(std::string(LLMC_TEST_HOSTILE) + "/gguf")));

/// What importing the file says; the model is for a closer look.
static std::string import(const GgufFile &file, mlir::MLIRContext &context, ImportedModel *result = nullptr) {
  std::string text = file.text();
  auto model = importGguf(InputFile::view("m.gguf", text), context);
  if (!model) return llvm::toString(model.takeError());
  if (result) *result = std::move(*model);
  return "accepted";
}
static std::string import(const GgufFile &file) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  return import(file, context);
}

TEST(Gguf, Types) {
  struct Case {
    uint32_t type;
    size_t rowBytes; // of 32 elements
    const char *printed;
  };
  const Case cases[] = {{0, 128, "f32"}, {1, 64, "f16"},  {30, 64, "bf16"}, {2, 18, "q4_0"},
                        {3, 20, "q4_1"}, {6, 22, "q5_0"}, {7, 24, "q5_1"},  {8, 34, "q8_0"}};
  for (const Case &row : cases) {
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    ImportedModel model;
    ASSERT_EQ(import(GgufFile::llama(row.type, row.rowBytes), context, &model), "accepted") << row.printed;
    std::string type;
    llvm::raw_string_ostream(type)
        << model.module->lookupSymbol<llm::WeightOp>("model.layers.0.mlp.down_proj.weight").getType();
    EXPECT_NE(type.find(row.printed), std::string::npos) << type;
  }
}

TEST(Gguf, UnsupportedTypesAreNamed) {
  EXPECT_EQ(import(GgufFile::llama(20, 18)), // IQ4_NL
            "m.gguf: token_embd.weight: found IQ4_NL, expected one of: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, "
            "Q4_K, Q5_K, Q6_K");
  EXPECT_EQ(import(GgufFile::llama(26, 128)).find("m.gguf: token_embd.weight: found I32, expected one of"), 0u);
  EXPECT_EQ(import(GgufFile::llama().tensor("q", 16, {256, 1}, 66)),
            "m.gguf: q: found a tensor that the model has no place for, expected a llama model");
}

TEST(Gguf, WeightsAndNames) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  ImportedModel model;
  GgufFile file = GgufFile::llama();
  file.tensor("output.weight", 1, {32, 8}, 512).tensor("blk.0.attn_q.bias", 0, {32}, 128);
  ASSERT_EQ(import(file, context, &model), "accepted");
  std::vector<std::string> symbols;
  for (auto weight : model.module->getOps<llm::WeightOp>()) symbols.push_back(weight.getSymName().str());
  EXPECT_EQ(symbols, (std::vector<std::string>{
                         "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                         "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.bias",
                         "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.weight",
                         "model.layers.0.self_attn.o_proj.weight", "model.layers.0.post_attention_layernorm.weight",
                         "model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight",
                         "model.layers.0.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"}));
  auto heads = [&](const char *name) { return model.module->lookupSymbol<llm::WeightOp>(name).getInterleavedHeads(); };
  EXPECT_EQ(heads("model.layers.0.self_attn.q_proj.weight"), 2u);
  EXPECT_EQ(heads("model.layers.0.self_attn.q_proj.bias"), 2u); // the converter permutes it too
  EXPECT_EQ(heads("model.layers.0.self_attn.k_proj.weight"), 1u);
  EXPECT_FALSE(heads("model.layers.0.self_attn.v_proj.weight"));
  EXPECT_EQ(model.name, "m");
  EXPECT_TRUE(model.text.tokenizerJson.empty());
}

TEST(Gguf, RopeScaling) {
  auto rope = [](const GgufFile &file) {
    static mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    static std::vector<ImportedModel> kept; // the attribute lives as long as the context anyway
    ImportedModel model;
    EXPECT_EQ(import(file, context, &model), "accepted");
    kept.push_back(std::move(model));
    auto step = kept.back().module->lookupSymbol<mlir::func::FuncOp>(llm::kStep);
    return (*step.getOps<llm::RopeOp>().begin()).getRope();
  };
  EXPECT_EQ(float(rope(GgufFile::llama()).getInvFreq()[0]), 1.0f);
  EXPECT_EQ(float(rope(GgufFile::llama().real("llama.rope.scale_linear", 4)).getInvFreq()[0]), 0.25f);
  EXPECT_EQ(float(rope(GgufFile::llama().real("llama.rope.scaling.factor", 2)).getInvFreq()[0]), 0.5f);
  GgufFile none = GgufFile::llama().real("llama.rope.scaling.factor", 2).string("llama.rope.scaling.type", "none");
  EXPECT_EQ(float(rope(none).getInvFreq()[0]), 1.0f);
  GgufFile yarn = GgufFile::llama().real("llama.rope.scaling.factor", 4).string("llama.rope.scaling.type", "yarn");
  EXPECT_NEAR(float(rope(yarn).getScale()), 0.1 * std::log(4.0) + 1, 1e-6);
  std::vector<float> divisors = {2, 1, 1, 1, 1, 1, 1, 8};
  llvm::StringRef bytes(reinterpret_cast<const char *>(divisors.data()), 32);
  auto divided = rope(GgufFile::llama().tensor("rope_freqs.weight", 0, {8}, 32, bytes));
  EXPECT_EQ(float(divided.getInvFreq()[0]), 0.5f);
  EXPECT_EQ(import(GgufFile::llama().tensor("rope_freqs.weight", 0, {8}, 32)),
            "m.gguf: rope_freqs.weight: found 0.000000, expected positive finite numbers");
}

TEST(Gguf, Refusals) {
  const std::pair<GgufFile, const char *> cases[] = {
      {GgufFile::llama().number("llama.expert_count", 8), "llama.expert_count: found 8"},
      {GgufFile::llama().real("llama.logit_scale", 2), "llama.logit_scale: found 2"},
      {GgufFile::llama().real("llama.logit_scale", 1), "accepted"},
      {GgufFile::llama().number("llama.vocab_size", 9),
       "llama.vocab_size: found 9, expected 8, the rows of token_embd"},
      {GgufFile::llama().number("llama.block_count", 2),
       "blk.1.attn_norm.weight: found no such tensor, expected one of"},
      {GgufFile::llama().number("llama.attention.value_length", 8),
       "value_length: found 8, expected 16, as key_length"},
      {GgufFile::llama().number("llama.rope.dimension_count", 8),
       "dimension_count: found 8, expected 16, all of a head"},
      {GgufFile::llama().string("llama.rope.scaling.type", "longrope").real("llama.rope.scaling.factor", 2),
       "llama.rope.scaling.type: found 'longrope', expected none, linear or yarn"},
      {GgufFile::llama().boolean("llama.attention.causal", false), "llama.attention.causal: found false"},
      {GgufFile::llama().integers("llama.attention.head_count_kv", {1}), "head_count_kv: found a value of type array"},
      {GgufFile::llama().real("llama.attention.layer_norm_rms_epsilon", 0),
       "rms_epsilon: found 0.000000, expected a num"},
      {GgufFile::llama().real("llama.rope.freq_base", NAN),
       "llama.rope.freq_base: found a value of type f32, or not finite"},
      {GgufFile::llama().remove("llama.context_length"), "llama.context_length: found nothing, expected an integer"},
      {GgufFile::llama().string("general.architecture", "qwen2"),
       "general.architecture: found 'qwen2', expected one of: llama"},
  };
  for (const auto &[file, message] : cases) EXPECT_NE(import(file).find(message), std::string::npos) << import(file);
}

static GgufFile withTokens() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "<0x0A>", "a", "\"", "\xc3\xa9", "ab"};
  GgufFile file = GgufFile::llama();
  file.string("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", tokens);
  file.reals("tokenizer.ggml.scores", {0, 0, 0, 0, -1.5f, -2, -3, -4});
  file.integers("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1, 1, 1});
  file.number("tokenizer.ggml.bos_token_id", 1).number("tokenizer.ggml.eos_token_id", 2);
  file.number("tokenizer.ggml.eot_token_id", 4).boolean("tokenizer.ggml.add_bos_token", true);
  return file.string("tokenizer.chat_template", "{{ x }}");
}

TEST(Gguf, VocabularySpec) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  ImportedModel model;
  ASSERT_EQ(import(withTokens(), context, &model), "accepted");
  const TextAssets &text = model.text;
  EXPECT_TRUE(text.isVocabularySpec);
  EXPECT_EQ(text.eosIds, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(text.bosId, 1);
  EXPECT_EQ(text.bosToken, "<s>");
  EXPECT_EQ(text.eosToken, "</s>");
  EXPECT_EQ(text.chatTemplate, "{{ x }}");
  EXPECT_EQ(text.tokenizerJson,
            R"({"model":"llama","tokens":["<unk>","<s>","</s>","<0x0A>","a","\"","é","ab"],)"
            R"("scores":[0,0,0,0,-1.5,-2,-3,-4],"token_type":[2,3,3,6,1,1,1,1],"bos":1,"eos":2,"add_bos":true})");
}

TEST(Gguf, VocabularyRefusals) {
  const std::pair<GgufFile, const char *> cases[] = {
      {withTokens().strings("tokenizer.ggml.tokens", {"a", "b"}),
       "tokenizer.ggml.tokens: found 2 values, expected 8, one per row"},
      {withTokens().strings("tokenizer.ggml.tokens", {"a\xff"}),
       "found string 0 that is not UTF-8: a\\xFF, expected UTF-8"},
      {withTokens().reals("tokenizer.ggml.scores", {1}),
       "tokenizer.ggml.scores: found 1 values, expected 8, one per token"},
      {withTokens().reals("tokenizer.ggml.scores", {NAN}), "tokenizer.ggml.scores: found number 0 that is not finite"},
      {withTokens().number("tokenizer.ggml.bos_token_id", 8), "bos_token_id: found 8, expected a token id below 8"},
      {withTokens().string("tokenizer.ggml.token_type", "x"),
       "token_type: found a value of type string, expected an array"},
      {withTokens().string("tokenizer.chat_template", "\xff"), "tokenizer.chat_template: found text that is not UTF-8"},
      {withTokens().number("tokenizer.ggml.add_bos_token", 1),
       "add_bos_token: found a value of type u32, expected true or"},
  };
  for (const auto &[file, message] : cases) EXPECT_NE(import(file).find(message), std::string::npos) << import(file);
}

TEST(Gguf, FilesOnly) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto refusal = [&](llvm::StringRef path) { return llvm::toString(importGguf(path, context).takeError()); };
  EXPECT_EQ(refusal("/dev/zero"), "/dev/zero: found a device, expected a regular file");
  EXPECT_EQ(refusal(kData), kData + ": found a directory, expected a regular file");
  EXPECT_EQ(refusal(kData + "/absent"), kData + "/absent: cannot open: No such file or directory");
  EXPECT_FALSE(looksLikeGguf(kData));
  EXPECT_FALSE(looksLikeGguf(std::string(LLMC_TEST_HOSTILE) + "/gguf/index.json"));
}

TEST(Gguf, MutationsDoNotCrash) {
  InputFile control = llvm::cantFail(InputFile::open(std::string(LLMC_TEST_HOSTILE) + "/gguf/control.gguf"));
  test::forEachMutation(control.bytes(), 6000,
                        [](llvm::StringRef bytes) { LLVMFuzzerTestOneInput(bytes.bytes_begin(), bytes.size()); });
}
