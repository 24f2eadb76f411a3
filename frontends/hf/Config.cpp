#include "frontends/hf/Config.h"
#include "dialects/llm/Decoder.h"

using nlohmann::json;

namespace llmc::hf {
namespace {

/// The keys of one rope object: rope_scaling as published ('type' or 'rope_type', rope_theta beside it) or
/// rope_parameters as transformers 5 writes it (rope_theta inside).
void readRopeObject(Fields &rope, const Config &config, llm::RopeConfig &out) {
  std::string type = rope.text("rope_type", ""), old = rope.text("type", "");
  if (!type.empty() && !old.empty() && type != old)
    rope.fail("type", "'" + old + "' beside rope_type '" + type + "'", "one type");
  out.type = !type.empty() ? type : old;
  if (out.type.empty()) return rope.fail("rope_type", "nothing", "default, linear, dynamic, llama3 or yarn");
  out.theta = rope.positive("rope_theta", out.theta);
  if (rope.number("partial_rotary_factor", 1.0) != 1.0)
    rope.fail("partial_rotary_factor", "another factor", "1 for this family");
  if (out.type == "default") return;
  out.factor = rope.positive("factor");
  int64_t most = llm::kMostContext;
  if (out.type == "dynamic") out.originalMaxPositions = config.maxPositions;
  if (out.type == "llama3" || out.type == "yarn") {
    int64_t fallback = out.originalMaxPositions ? out.originalMaxPositions : config.maxPositions;
    out.originalMaxPositions = rope.integer("original_max_position_embeddings", 1, most, fallback);
  }
  if (out.type == "llama3") {
    out.lowFreqFactor = rope.positive("low_freq_factor");
    out.highFreqFactor = rope.positive("high_freq_factor");
    if (!(out.highFreqFactor > out.lowFreqFactor))
      rope.fail("high_freq_factor", "one that is not greater than low_freq_factor", "a greater one");
  }
  if (out.type == "yarn") {
    out.betaFast = rope.positive("beta_fast", 32);
    out.betaSlow = rope.positive("beta_slow", 1);
    out.mscale = rope.number("mscale", 0);
    out.mscaleAllDim = rope.number("mscale_all_dim", 0);
    out.attentionFactor = rope.number("attention_factor", 0);
    out.truncate = rope.boolean("truncate", true);
    if (!(out.theta > 1)) rope.fail("rope_theta", std::to_string(out.theta), "more than 1 for yarn");
  }
}

void readDenseLayers(Fields &fields, Config &config) {
  const json *list = fields.find("mlp_only_layers");
  if (!list) return;
  if (!list->is_array()) return fields.fail("mlp_only_layers", describe(*list), "a list of layers");
  for (const json &layer : *list) {
    if (!layer.is_number_unsigned() || layer.get<uint64_t>() >= uint64_t(config.layers))
      return fields.fail("mlp_only_layers", layer.is_number() ? layer.dump() : describe(layer),
                         "layers, 0 to " + llvm::Twine(config.layers - 1));
    config.denseLayers.push_back(layer.get<int64_t>());
  }
}

void readRope(llvm::StringRef file, Fields &fields, Config &config) {
  llm::RopeConfig &rope = config.rope;
  rope.dim = config.headDim;
  rope.theta = fields.positive("rope_theta", 10000);
  if (fields.number("partial_rotary_factor", 1.0) != 1.0)
    fields.fail("partial_rotary_factor", describe(*fields.find("partial_rotary_factor")), "1 for this family");
  rope.originalMaxPositions = fields.integer("original_max_position_embeddings", 1, llm::kMostContext, 0);
  const json *scaling = fields.find("rope_scaling"), *parameters = fields.find("rope_parameters");
  if (scaling && parameters && *scaling != *parameters)
    return fields.fail("rope_scaling", "a value that differs from rope_parameters", "one of them");
  const json *object = scaling ? scaling : parameters;
  if (!object || (object->is_object() && object->empty())) {
    rope.originalMaxPositions = 0;
    return;
  }
  Fields inner(file, *object, scaling ? "rope_scaling." : "rope_parameters.");
  readRopeObject(inner, config, rope);
  if (rope.type == "default" || rope.type == "linear") rope.originalMaxPositions = 0;
  if (llvm::Error error = inner.takeError()) fields.fail(std::move(error));
}
} // namespace

void readSpecialIds(Fields &fields, int64_t vocab, int64_t &bosId, std::vector<int64_t> &eosIds) {
  auto keep = [&](const json &value, const char *key, auto &&take) {
    bool tooLarge = value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX);
    if (!value.is_number_integer() || tooLarge) return fields.fail(key, describe(value), "token ids");
    int64_t id = value.get<int64_t>();
    if (id >= 0 && id < vocab) take(id);
  };
  if (const json *bos = fields.find("bos_token_id"))
    if (!bos->is_array()) keep(*bos, "bos_token_id", [&](int64_t id) { bosId = id; });
  const json *eos = fields.find("eos_token_id");
  if (!eos) return;
  eosIds.clear();
  auto add = [&](int64_t id) {
    if (!llvm::is_contained(eosIds, id)) eosIds.push_back(id);
  };
  if (!eos->is_array()) return keep(*eos, "eos_token_id", add);
  if (eos->size() > 1024) return fields.fail("eos_token_id", "more than 1024 ids", "fewer");
  for (const json &id : *eos) keep(id, "eos_token_id", add);
}

llvm::Expected<Config> parseConfig(llvm::StringRef file, const json &document) {
  Fields fields(file, document);
  Config config;
  config.modelType = fields.text("model_type");
  llvm::Expected<std::optional<Quantisation>> quantisation = readQuantisation(file, fields);
  if (!quantisation) return quantisation.takeError();
  config.quantisation = std::move(*quantisation);
  config.name = fields.text("_name_or_path", "");
  config.hidden = fields.integer("hidden_size", 1, llm::kMostHidden);
  config.intermediate = fields.integer("intermediate_size", 1, llm::kMostHidden);
  config.layers = fields.integer("num_hidden_layers", 1, llm::kMostLayers);
  config.heads = fields.integer("num_attention_heads", 1, llm::kMostHeads);
  config.kvHeads = fields.integer("num_key_value_heads", 1, llm::kMostHeads, config.heads);
  config.vocab = fields.integer("vocab_size", 1, llm::kMostVocab);
  config.maxPositions = fields.integer("max_position_embeddings", 1, llm::kMostContext, 2048);
  config.epsilon = fields.positive("rms_norm_eps");
  if (!(float(config.epsilon) > 0)) fields.fail("rms_norm_eps", "a number too small for f32", "about 1e-5");
  config.experts = fields.integer("num_local_experts", 0, llm::kMostExperts, 0);
  config.experts = fields.integer("num_experts", 0, llm::kMostExperts, config.experts);
  config.expertsPerToken = fields.integer("num_experts_per_tok", 0, llm::kMostExperts, 0);
  config.expertIntermediate = fields.integer("moe_intermediate_size", 0, llm::kMostHidden, 0);
  config.sparseStep = fields.integer("decoder_sparse_step", 1, llm::kMostLayers, 1);
  config.renormaliseExperts = fields.boolean("norm_topk_prob", false);
  readDenseLayers(fields, config);
  config.hasHeadDim = fields.has("head_dim");
  config.useWindow = fields.boolean("use_sliding_window", false);
  config.window = fields.integer("sliding_window", 0, llm::kMostContext, 0);
  config.activation = fields.text("hidden_act", "silu");
  config.attentionBias = fields.boolean("attention_bias", false);
  config.mlpBias = fields.boolean("mlp_bias", false);
  config.tied = fields.boolean("tie_word_embeddings", false);
  readSpecialIds(fields, config.vocab, config.bosId, config.eosIds);

  if (config.heads % config.kvHeads)
    fields.fail("num_key_value_heads", llvm::Twine(config.kvHeads),
                "a divisor of num_attention_heads (" + llvm::Twine(config.heads) + ")");
  if (!fields.has("head_dim") && config.hidden % config.heads)
    fields.fail("num_attention_heads", llvm::Twine(config.heads),
                "a divisor of hidden_size (" + llvm::Twine(config.hidden) + "), or head_dim");
  config.headDim = fields.integer("head_dim", 1, llm::kMostHeadDim, config.hidden / config.heads);
  if (config.headDim % 2) fields.fail("head_dim", llvm::Twine(config.headDim), "an even number");
  readRope(file, fields, config);
  if (llvm::Error error = fields.takeError()) return error;
  return config;
}

} // namespace llmc::hf
