// config.json: spellings, limits and refusals, each with its message.
#include "frontends/hf/Config.h"
#include "frontends/hf/Import.h"
#include "mlir/IR/MLIRContext.h"
#include "test/frontends/hf/ModelFolder.h"
#include <gtest/gtest.h>

using namespace llmc;
using llmc::test::ModelFolder;
using nlohmann::json;

namespace {

struct ConfigCase {
  const char *name;
  const char *key;
  const char *value;   // JSON; "remove" takes the key out
  const char *message; // part of it
};
std::ostream &operator<<(std::ostream &out, const ConfigCase &row) { return out << row.name; }

class ConfigRefusal : public testing::TestWithParam<ConfigCase> {};

TEST_P(ConfigRefusal, IsNamed) {
  const ConfigCase &row = GetParam();
  ModelFolder folder;
  folder.setConfig(row.key, json::parse(row.value, nullptr, /*allow_exceptions=*/false)); // "remove" is discarded
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto model = importHuggingFace(folder.path(), context);
  std::string message = model ? "accepted" : llvm::toString(model.takeError());
  EXPECT_NE(message.find(row.message), std::string::npos) << message;
  EXPECT_EQ(message.find(folder.path() + "/"), model ? std::string::npos : 0u) << message;
}

const ConfigCase kCases[] = {
    {"experts_huge", "num_local_experts", "100000",
     "num_local_experts: found 100000, expected an integer from 0 to 4096"},
    {"dense_layers_text", "mlp_only_layers", R"("0")", "mlp_only_layers: found '0', expected a list of layers"},
    {"dense_layers_beyond", "mlp_only_layers", "[0, 7]", "mlp_only_layers: found 7, expected layers, 0 to 0"},
    {"dense_layers_negative", "mlp_only_layers", "[-1]", "mlp_only_layers: found -1, expected layers, 0 to 0"},
    {"model_type_absent", "model_type", "remove", "model_type: found nothing, expected text"},
    {"model_type_unknown", "model_type", R"("frobnicator")", "model_type: found 'frobnicator', expected one of: llama"},
    {"hidden_absent", "hidden_size", "remove", "hidden_size: found nothing, expected an integer from 1 to 1048576"},
    {"hidden_zero", "hidden_size", "0", "hidden_size: found 0, expected an integer from 1"},
    {"hidden_negative", "hidden_size", "-32", "hidden_size: found -32"},
    {"hidden_text", "hidden_size", R"("32")", "hidden_size: found '32'"},
    {"hidden_fraction", "hidden_size", "32.5", "hidden_size: found 32.5"},
    {"hidden_above_int64", "hidden_size", "18446744073709551615", "hidden_size: found 18446744073709551615"},
    {"layers_huge", "num_hidden_layers", "4000000000",
     "num_hidden_layers: found 4000000000, expected an integer from 1 to"},
    {"layers_more", "num_hidden_layers", "2", "model.layers.1.input_layernorm.weight: found no such tensor"},
    {"vocab_huge", "vocab_size", "1000000000", "vocab_size: found 1000000000"},
    {"vocab_other", "vocab_size", "41", "model.embed_tokens.weight: found shape [40, 32], expected [41, 32]"},
    {"heads_not_divisible", "num_attention_heads", "3",
     "num_attention_heads: found 3, expected a divisor of hidden_size"},
    {"kv_heads_not_divisible", "num_key_value_heads", "3",
     "num_key_value_heads: found 3, expected a divisor of num_att"},
    {"head_dim_odd", "head_dim", "15", "head_dim: found 15, expected an even number"},
    {"head_dim_other", "head_dim", "8", "self_attn.q_proj.weight: found shape [32, 32], expected [16, 32]"},
    {"epsilon_absent", "rms_norm_eps", "remove", "rms_norm_eps: found nothing, expected a number"},
    {"epsilon_zero", "rms_norm_eps", "0", "rms_norm_eps: found 0.000000, expected a number greater than 0"},
    {"epsilon_tiny", "rms_norm_eps", "1e-60", "rms_norm_eps: found a number too small for f32"},
    {"activation", "hidden_act", R"("gelu")", "hidden_act: found 'gelu', expected silu for llama"},
    {"bias_missing", "attention_bias", "true",
     "self_attn.q_proj.bias: found no such tensor, expected one of shape [32]"},
    {"bias_text", "attention_bias", R"("yes")", "attention_bias: found 'yes', expected true or false"},
    {"tied", "tie_word_embeddings", "true",
     "lm_head.weight: found a tensor that differs from model.embed_tokens.weight"},
    {"partial_rotary", "partial_rotary_factor", "0.5", "partial_rotary_factor: found 0.5, expected 1 for this family"},
    {"eos_text", "eos_token_id", R"("</s>")", "eos_token_id: found '</s>', expected token ids"},
    {"rope_list", "rope_scaling", "[]", "rope_scaling.: found a list, expected an object"},
    {"rope_no_type", "rope_scaling", R"({"factor": 2})", "rope_scaling.rope_type: found nothing"},
    {"rope_unknown", "rope_scaling", R"({"type": "mrope", "factor": 2})",
     "rope: found type 'mrope', expected default, lin"},
    {"rope_no_factor", "rope_scaling", R"({"type": "linear"})", "rope_scaling.factor: found nothing"},
    {"rope_zero", "rope_scaling", R"({"type": "linear", "factor": 0})", "rope_scaling.factor: found 0.000000"},
    {"rope_two_types", "rope_scaling", R"({"type": "linear", "rope_type": "yarn", "factor": 2})",
     "rope_scaling.type: found"},
    {"rope_llama3", "rope_scaling", R"({"rope_type": "llama3", "factor": 2, "low_freq_factor": 4, "high_freq_factor": 1,
      "original_max_position_embeddings": 16})",
     "high_freq_factor: found one that is not greater"},
    {"theta_zero", "rope_theta", "0", "rope_theta: found 0.000000, expected a number greater than 0"},
    {"nested", "rope_parameters", R"({"full_attention": {"rope_type": "default"}})",
     "rope_parameters.rope_type: found nothing"},
    {"null_is_absent", "rope_scaling", "null", "accepted"},
    {"default_is_plain", "rope_scaling", R"({"rope_type": "default"})", "accepted"},
    {"dynamic", "rope_scaling", R"({"rope_type": "dynamic", "factor": 2.0})", "accepted"},
    {"kv_heads_default", "num_key_value_heads", "remove",
     "self_attn.k_proj.weight: found shape [16, 32], expected [32, 32]"},
};
INSTANTIATE_TEST_SUITE_P(All, ConfigRefusal, testing::ValuesIn(kCases),
                         [](const auto &info) { return std::string(info.param.name); });

hf::Config parse(const std::string &extra) {
  std::string text = R"({"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "vocab_size": 40,
      "num_attention_heads": 2, "num_hidden_layers": 1, "max_position_embeddings": 64, "rms_norm_eps": 1e-5)" +
                     extra + "}";
  return llvm::cantFail(hf::parseConfig("config.json", llvm::cantFail(hf::parseJson("config.json", text))));
}

/// What a family's configuration may say that is not read.
TEST(Config, RefusalsOfFamilies) {
  struct Case {
    const char *family, *key, *value, *message;
  };
  const Case cases[] = {
      {"mixtral", "num_experts_per_tok", "9", "num_experts_per_tok: found 9, expected at most num_local_experts (8)"},
      {"mixtral", "hidden_act", R"("gelu")", "hidden_act: found 'gelu', expected silu for mixtral"},
      {"mixtral", "num_local_experts", "1", "num_experts_per_tok: found 2, expected at most num_local_experts (1)"},
      {"qwen3", "head_dim", "null", "head_dim: found nothing, expected a number: qwen3 has no rule for it"},
      {"qwen3", "use_sliding_window", "true", "use_sliding_window: found true, expected false"},
      {"qwen3_moe", "num_experts_per_tok", "129", "num_experts_per_tok: found 129, expected at most num_experts (128)"},
      {"qwen3_moe", "decoder_sparse_step", "0", "decoder_sparse_step: found 0, expected an integer from 1"},
  };
  for (const Case &c : cases) {
    ModelFolder folder;
    folder.setConfig("model_type", c.family), folder.setConfig("head_dim", 16);
    folder.setConfig(c.key, json::parse(c.value));
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    auto model = importHuggingFace(folder.path(), context);
    std::string message = model ? "accepted" : llvm::toString(model.takeError());
    EXPECT_NE(message.find(c.message), std::string::npos) << message;
  }
}

TEST(Config, RopeSpellings) {
  hf::Config old = parse(R"(, "rope_theta": 500000.0, "rope_scaling": {"type": "yarn", "factor": 4.0})");
  EXPECT_EQ(old.rope.type, "yarn");
  EXPECT_EQ(old.rope.theta, 500000);
  EXPECT_EQ(old.rope.originalMaxPositions, 64); // max_position_embeddings, when nothing else says it
  hf::Config both = parse(R"(, "rope_theta": 1.0, "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0,
      "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16})");
  EXPECT_EQ(both.rope.theta, 500000);
  EXPECT_EQ(both.rope.originalMaxPositions, 16);
  hf::Config top = parse(R"(, "original_max_position_embeddings": 8, "rope_scaling": {"type": "yarn", "factor": 4.0})");
  EXPECT_EQ(top.rope.originalMaxPositions, 8);
  EXPECT_EQ(parse("").rope.theta, 10000);
  EXPECT_EQ(parse("").kvHeads, 2);
}

TEST(Json, Refusals) {
  auto refusal = [](llvm::StringRef text) {
    auto document = hf::parseJson("a.json", text);
    return document ? "accepted" : llvm::toString(document.takeError());
  };
  EXPECT_EQ(refusal(R"({"a": [1, 2.5, null, true, {"b": "c"}]})"), "accepted");
  EXPECT_EQ(refusal(R"({"a": 1, "b": {"a": 1, "a": 2}})"), "a.json: found a second member named 'a', expected one");
  EXPECT_EQ(refusal(llvm::StringRef("{}\0", 3)), "a.json: found a NUL byte, expected a JSON document");
  EXPECT_EQ(refusal("{} x"), "a.json: found no valid JSON at byte 4, expected a JSON document");
  EXPECT_NE(refusal("{\"a\": \"\xff\"}"), "accepted");
  EXPECT_NE(refusal("1e999"), "accepted");
  EXPECT_NE(refusal(""), "accepted");
  EXPECT_EQ(refusal(std::string(100000, '[')), "a.json: found values nested more than 64 deep, expected fewer levels");
}
} // namespace
