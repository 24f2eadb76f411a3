// Quantised checkpoints: each layout's decoded weights, what is left out of the types, and refusals.
#include "dialects/llm/eval/WeightView.h"
#include "frontends/hf/Checkpoint.h"
#include "frontends/hf/Import.h"
#include "mlir/IR/MLIRContext.h"
#include "test/frontends/hf/ModelFolder.h"
#include "llvm/Support/Endian.h"
#include <gtest/gtest.h>

using namespace llmc;
using llmc::test::ModelFolder;
using nlohmann::json;

namespace {

const std::string kData = std::string(LLMC_TEST_DATA) + "/hf/";

std::string testName(llvm::StringRef name) {
  std::string result = name.str();
  std::replace(result.begin(), result.end(), '-', '_');
  return result;
}

/// Rows of a weight of an imported model, as f32.
std::vector<float> readWeight(const ImportedModel &model, llvm::StringRef symbol) {
  auto weight = (*model.module).lookupSymbol<llm::WeightOp>(symbol);
  if (!weight) return {};
  std::vector<InputFile> files;
  std::vector<llm::InputFile> views;
  for (const std::string &path : model.files) {
    files.push_back(llvm::cantFail(InputFile::open(path)));
    llvm::StringRef bytes = files.back().bytes();
    views.push_back({path, {bytes.bytes_begin(), bytes.size()}});
  }
  auto view = llvm::cantFail(llm::WeightView::create(weight, views));
  std::vector<float> values(view.rows() * view.k());
  view.readRows(0, view.rows(), values.data());
  return values;
}

struct Layout {
  const char *fixture, *type; // the element type of q_proj of layer 1
};
std::ostream &operator<<(std::ostream &out, const Layout &row) { return out << row.fixture; }
class QuantisedLayout : public testing::TestWithParam<Layout> {};

TEST_P(QuantisedLayout, DecodesAsTheReference) {
  mlir::MLIRContext context;
  std::string folder = kData + GetParam().fixture;
  auto model = importHuggingFace(folder, context);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  InputFile file = llvm::cantFail(InputFile::open(folder + "/decoded.safetensors"));
  hf::SafetensorsTable table = llvm::cantFail(hf::parseSafetensors(file));
  ASSERT_FALSE(table.tensors.empty());
  for (const hf::Tensor &tensor : table.tensors) {
    std::vector<float> values = readWeight(*model, tensor.name);
    ASSERT_EQ(values.size() * 4, tensor.bytes);
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(llvm::bit_cast<uint32_t>(values[i]),
                llvm::support::endian::read32le(file.bytes().data() + tensor.offset + 4 * i))
          << tensor.name << " " << i;
  }
}

TEST_P(QuantisedLayout, TypesSayNoMoreThanTheValuesNeed) {
  mlir::MLIRContext context;
  auto model = importHuggingFace(kData + GetParam().fixture, context);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  auto weight = (*model->module).lookupSymbol<llm::WeightOp>("model.layers.1.self_attn.q_proj.weight");
  std::string type;
  llvm::raw_string_ostream(type) << weight.getTensorType().getElementType();
  EXPECT_EQ(type, std::string("!wq.encoded<encoding = ") + GetParam().type + ">");
  EXPECT_TRUE(
      (*model->module).lookupSymbol<llm::WeightOp>("lm_head.weight").getTensorType().getElementType().isIntOrFloat());
}

const Layout kLayouts[] = {
    {"llama-gptq-v1-desc-act", "gptq, bits = 4, block = 128, act_order = true"},
    {"llama-gptq-v1-g128-sym", "gptq, bits = 4, block = 128"},
    {"llama-gptq-v1-g64-asym", "gptq, bits = 4, block = 64, zero_points = true"},
    {"llama-gptq-v2-g64-asym", "gptq_v2, bits = 4, block = 64, zero_points = true"},
    {"llama-awq-gemm-g128", "awq, bits = 4, block = 128, zero_points = true"},
    {"llama-autoround-g128-sym", "gptq, bits = 4, block = 128"},
    {"llama-ct-w4a16-g128-sym", "compressed_tensors, bits = 4, block = 128, scale = bf16"},
    {"llama-bnb-nf4", "nf4, bits = 4, block = 64, scale = f32, nested = true, nested_offset = 0.271019459"},
};
INSTANTIATE_TEST_SUITE_P(All, QuantisedLayout, testing::ValuesIn(kLayouts),
                         [](const auto &info) { return testName(info.param.fixture); });

TEST(Quantised, LayersMayDiffer) {
  mlir::MLIRContext context;
  auto model = llvm::cantFail(importHuggingFace(kData + "llama-autoround-g128-sym", context));
  auto element = [&](const char *name) {
    return (*model.module).lookupSymbol<llm::WeightOp>(name).getTensorType().getElementType();
  };
  EXPECT_TRUE(element("model.layers.0.mlp.down_proj.weight").isF16());
  EXPECT_EQ(mlir::cast<wq::EncodedType>(element("model.layers.1.self_attn.v_proj.weight")).getBits(), 8);
}

/// A fixture of which the test damages a copy.
class QuantisedFolder : public ModelFolder {
public:
  explicit QuantisedFolder(const std::string &fixture) {
    auto text = [&](const char *name) { return readSmallFile(kData + fixture + "/" + name, 1 << 24); };
    config = llvm::cantFail(hf::parseJson("config.json", llvm::cantFail(text("config.json"))));
    weights = llvm::cantFail(text("model.safetensors"));
  }
  /// A tensor's bytes.
  char *tensor(const std::string &name) {
    auto table = llvm::cantFail(hf::parseSafetensors(InputFile::view("model.safetensors", weights)));
    for (const hf::Tensor &tensor : table.tensors)
      if (tensor.name == name) return weights.data() + tensor.offset;
    ADD_FAILURE() << name;
    return nullptr;
  }
  /// Replaces text of the same length in the header, everywhere.
  void replace(llvm::StringRef from, llvm::StringRef to) {
    ASSERT_EQ(from.size(), to.size());
    for (size_t at = 0; (at = weights.find(from.str(), at)) != std::string::npos; ++at)
      weights.replace(at, from.size(), to.str());
  }
  std::string refusal() {
    write("config.json", config.dump());
    write("model.safetensors", weights);
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    auto model = importHuggingFace(path(), context);
    return model ? "accepted" : llvm::toString(model.takeError());
  }
  json config;
  std::string weights;
};

struct ConfigCase {
  const char *name, *fixture;
  const char *patch;   // merged into quantization_config
  const char *message; // part of it
};
std::ostream &operator<<(std::ostream &out, const ConfigCase &row) { return out << row.name; }
class QuantisationConfig : public testing::TestWithParam<ConfigCase> {};

TEST_P(QuantisationConfig, IsChecked) {
  QuantisedFolder folder(GetParam().fixture);
  folder.config["quantization_config"].merge_patch(json::parse(GetParam().patch));
  std::string message = folder.refusal();
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

const char *const kGptq = "llama-gptq-v1-g128-sym", *const kAwq = "llama-awq-gemm-g128",
                  *const kAutoRound = "llama-autoround-g128-sym", *const kCompressed = "llama-ct-w4a16-g128-sym",
                  *const kNf4 = "llama-bnb-nf4", *const kAsymmetric = "llama-gptq-v1-g64-asym";
const ConfigCase kConfigCases[] = {
    {"unknown", kGptq, R"({"quant_method": "hqq"})",
     "quantization_config.quant_method: found 'hqq', expected one of: gptq, awq, auto-round, intel/auto-round, "
     "compressed-tensors, bitsandbytes; use the unquantised model or a GGUF file"},
    {"unnamed", kGptq, R"({"quant_method": null})", "quantization_config.quant_method: found nothing"},
    {"other_method", kGptq, R"({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"})",
     "q_proj.weight: found no such tensor, expected one of shape [128, 256]"},
    {"gptq_marlin", kGptq, R"({"checkpoint_format": "marlin"})",
     "checkpoint_format: found 'marlin', expected one of: gptq, gptq_v2"},
    {"gptq_3_bits", kGptq, R"({"bits": 3})", "quantization_config.bits: found 3, expected 4 or 8"},
    {"gptq_no_bits", kGptq, R"({"bits": null})", "quantization_config.bits: found nothing"},
    {"gptq_8_bits", kGptq, R"({"bits": 8})", "q_proj.qweight: found shape [32, 128], expected [64, 128]"},
    {"gptq_group_24", kGptq, R"({"group_size": 24})", "group_size: found 24, expected -1 or a multiple of 16"},
    {"gptq_group_64", kGptq, R"({"group_size": 64})", "q_proj.scales: found shape [2, 128], expected [4, 128]"},
    {"gptq_group_row", kGptq, R"({"group_size": -1})", "q_proj.scales: found shape [2, 128], expected [1, 128]"},
    {"gptq_rules", kGptq, R"({"dynamic": {"+:.*down.*": {"bits": 8}}})", "dynamic: found a rule for '+:.*down.*'"},
    {"gptq_skips", kGptq, R"({"dynamic": {"-:.*lm_head": {}}})", "accepted"},
    {"gptq_act_order", kAutoRound,
     R"({"quant_method": "gptq", "desc_act": true, "packing_format": null, "extra_config": null})",
     "q_proj.g_idx: found no such tensor, expected one of shape [256]"},
    {"awq_gemv", kAwq, R"({"version": "gemv"})", "version: found 'gemv', expected one of: gemm"},
    {"awq_upper_case", kAwq, R"({"version": "GEMM"})", "accepted"},
    {"awq_8_bits", kAwq, R"({"bits": 8})", "bits: found 8, expected an integer from 4 to 4"},
    {"awq_as_gptq", kAwq, R"({"quant_method": "gptq"})", "q_proj.qweight: found shape [256, 16], expected [32, 128]"},
    {"autoround_packing", kAutoRound, R"({"packing_format": "auto_round:llm_compressor"})",
     "packing_format: found 'auto_round:llm_compressor', expected one of"},
    {"autoround_float", kAutoRound, R"({"data_type": "mx_fp"})", "data_type: found 'mx_fp', expected int"},
    {"autoround_activations", kAutoRound, R"({"act_bits": 8})", "act_bits: found fewer than 16"},
    {"autoround_3_bits", kAutoRound, R"({"extra_config": {"model.layers.0.mlp.up_proj": {"bits": 3}}})",
     "extra_config.model.layers.0.mlp.up_proj.bits: found 3, expected 4, 8 or 16"},
    {"autoround_plain", kAutoRound, R"({"extra_config": {"model.layers.0.mlp.up_proj": {"bits": 16}}})",
     "model.layers.0.mlp.up_proj.qweight: found a tensor, expected a plain weight"},
    {"compressed_format", kCompressed, R"({"format": "int-quantized"})",
     "format: found 'int-quantized', expected one of: pack-quantized"},
    {"compressed_no_group", kCompressed, R"({"config_groups": null})", "config_groups: found nothing"},
    {"compressed_groups", kCompressed, R"({"config_groups": {"group_1": {}}})", "config_groups: found 2 groups"},
    {"compressed_activations", kCompressed, R"({"config_groups": {"group_0": {"input_activations": {"num_bits": 8}}}})",
     "config_groups.group_0.input_activations: found an object, expected null"},
    {"compressed_cache", kCompressed, R"({"kv_cache_scheme": {"num_bits": 8}})", "kv_cache_scheme: found an object"},
    {"compressed_float", kCompressed, R"({"config_groups": {"group_0": {"weights": {"type": "float"}}}})",
     "config_groups.group_0.weights.type: found 'float', expected int"},
    {"compressed_strategy", kCompressed, R"({"config_groups": {"group_0": {"weights": {"strategy": "tensor"}}}})",
     "strategy: found 'tensor', expected group or channel"},
    {"compressed_channel", kCompressed, R"({"config_groups": {"group_0": {"weights": {"strategy": "channel"}}}})",
     "q_proj.weight_scale: found shape [128, 2], expected [128, 1]"},
    {"compressed_asymmetric", kCompressed, R"({"config_groups": {"group_0": {"weights": {"symmetric": false}}}})",
     "q_proj.weight_zero_point: found no such tensor"},
    {"bnb_8_bits", kNf4, R"({"load_in_4bit": false, "load_in_8bit": true})",
     "load_in_4bit: found false, expected true"},
    {"bnb_fp4", kNf4, R"({"bnb_4bit_quant_type": "fp4"})", "bnb_4bit_quant_type: found 'fp4', expected one of: nf4"},
    {"bnb_unnamed", kNf4, R"({"quant_method": null})", "accepted"},
};
INSTANTIATE_TEST_SUITE_P(All, QuantisationConfig, testing::ValuesIn(kConfigCases),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(Quantised, PlainCheckpointWithAQuantisedConfig) {
  ModelFolder folder;
  folder.setConfig("quantization_config", {{"quant_method", "gptq"}, {"bits", 4}});
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto model = importHuggingFace(folder.path(), context);
  EXPECT_EQ(llvm::toString(model.takeError()),
            folder.path() + "/model.safetensors: found no quantised linear, expected some, as quantization_config says "
                            "gptq");
}

TEST(Quantised, GroupIndices) {
  QuantisedFolder folder("llama-gptq-v1-g128-sym");
  const std::string name = "model.layers.0.mlp.down_proj.g_idx";
  llvm::support::endian::write32le(folder.tensor(name) + 4 * 383, 3);
  EXPECT_NE(folder.refusal().find(name + ": found group 3 at 383, expected 0 to 2"), std::string::npos);
  llvm::support::endian::write32le(folder.tensor(name) + 4 * 383, -1);
  EXPECT_NE(folder.refusal().find(name + ": found group -1 at 383"), std::string::npos);
  llvm::support::endian::write32le(folder.tensor(name) + 4 * 383, 0); // in range, out of order
  EXPECT_EQ(folder.refusal(), "accepted");
}

TEST(Quantised, GroupsThatAreMissing) {
  QuantisedFolder folder("llama-gptq-v1-desc-act");
  folder.replace("q_proj.g_idx", "q_proj.x_idx");
  EXPECT_NE(folder.refusal().find("q_proj.g_idx: found no such tensor"), std::string::npos);
}

TEST(Quantised, MissingAndSuperfluousTensors) {
  QuantisedFolder gptq(kGptq);
  gptq.replace("0.self_attn.q_proj.qzeros", "0.self_attn.q_proj.xzeros");
  EXPECT_NE(gptq.refusal().find("q_proj.qzeros: found no such tensor, expected one of shape [2, 16]"),
            std::string::npos);
  QuantisedFolder both(kGptq);
  both.replace("1.self_attn.q_proj.scales", "0.self_attn.q_proj.weight");
  EXPECT_NE(both.refusal().find("0.self_attn.q_proj.qweight: found a quantised weight beside "
                                "model.layers.0.self_attn.q_proj.weight, expected one of them"),
            std::string::npos);
  QuantisedFolder compressed(kCompressed);
  compressed.replace("0.self_attn.q_proj.weight_shape", "0.self_attn.q_proj.weight_xhape");
  EXPECT_NE(compressed.refusal().find("q_proj.weight_shape: found no such tensor"), std::string::npos);
}

TEST(Quantised, WeightShape) {
  QuantisedFolder folder(kCompressed);
  folder.tensor("model.layers.0.mlp.down_proj.weight_shape")[0] = 1;
  EXPECT_NE(folder.refusal().find("down_proj.weight_shape: found [257, 384], expected [256, 384]"), std::string::npos)
      << folder.refusal();
}

TEST(Quantised, Nf4State) {
  struct Case {
    const char *from, *to, *message;
  };
  const Case cases[] = {
      {R"("blocksize": 64)", R"("blocksize": 60)", "blocksize: found 60, expected a multiple of 16"},
      {R"("blocksize": 64)", R"("blocksize": 32)", "absmax: found shape [512], expected [1024]"},
      {R"("quant_type": "nf4")", R"("quant_type": "fp4")", "quant_type: found 'fp4', expected nf4"},
      {R"("shape": [128, 256])", R"("shape": [256, 128])", "shape: found [256,128], expected [128, 256]"},
      {R"("nested_blocksize": 256)", R"("nested_blocksize": 128)", "nested_blocksize: found 128"},
      {R"({"quant_type")", R"(["quant_type")", "quant_state.bitsandbytes__nf4: found no valid JSON"},
      {"q_proj.weight.quant_map", "q_proj.weight.quant_mop", "q_proj.weight.quant_map: found no such tensor"},
      {"quant_state.bitsandbytes__nf4", "quant_state.bitsandbytes__fp4", "bitsandbytes__nf4: found no such tensor"},
  };
  for (const Case &row : cases) {
    QuantisedFolder folder(kNf4);
    folder.replace(row.from, row.to);
    EXPECT_NE(folder.refusal().find(row.message), std::string::npos) << folder.refusal();
  }
}

} // namespace
