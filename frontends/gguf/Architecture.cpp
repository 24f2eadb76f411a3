#include "frontends/gguf/Architecture.h"
#include "dialects/llm/Decoder.h"
#include <cmath>

namespace llmc::gguf {
namespace {

constexpr llvm::StringLiteral kArchitecture = "llama";

/// Keys that change what a model computes. A value that is neither 0 (absent) nor the neutral one is refused.
struct Refused {
  llvm::StringLiteral key;
  double neutral;
};
constexpr Refused kRefused[] = {
    {"llama.expert_count", 0},
    {"llama.attention.scale", 0},
    {"llama.attention.clamp_kqv", 0},
    {"llama.attention.max_alibi_bias", 0},
    {"llama.attn_logit_softcapping", 0},
    {"llama.final_logit_softcapping", 0},
    {"llama.logit_scale", 1},
    {"llama.residual_scale", 1},
    {"llama.embedding_scale", 1},
    {"llama.rope.scaling.yarn_ext_factor", 1},
    {"llama.rope.scaling.yarn_attn_factor", 1},
};

/// A number of any type that is 0 or more; 0 if absent.
double anyNumber(Metadata &metadata, llvm::StringRef key) {
  if (!metadata.has(key)) return 0;
  Value value = *metadata.find(key);
  if (value.type == ValueType::F32 || value.type == ValueType::F64) {
    bool isZero = llvm::all_of(value.bytes, [](char c) { return c == 0; });
    return isZero ? 0 : metadata.positive(key);
  }
  return double(metadata.integer(key, 0, llm::kMostContext));
}

/// linear and yarn as llama.cpp reads them: a factor without a type means linear.
void readRopeScaling(Metadata &metadata, Sizes &sizes) {
  llm::RopeConfig &rope = sizes.rope;
  std::string type = metadata.text("llama.rope.scaling.type", "linear");
  double old = anyNumber(metadata, "llama.rope.scale_linear"),
         factor = anyNumber(metadata, "llama.rope.scaling.factor");
  if (factor == 0) factor = old;
  if (type == "none" || factor == 0 || (type == "linear" && factor == 1)) return;
  rope.factor = factor;
  rope.type = type;
  if (type == "linear") return;
  if (type != "yarn") return metadata.fail("llama.rope.scaling.type", "'" + type + "'", "none, linear or yarn");
  rope.originalMaxPositions =
      metadata.integer("llama.rope.scaling.original_context_length", 1, llm::kMostContext, sizes.context);
  rope.betaFast = metadata.positive("llama.rope.scaling.yarn_beta_fast", 32);
  rope.betaSlow = metadata.positive("llama.rope.scaling.yarn_beta_slow", 1);
  // llama.cpp multiplies the usual factor by attn_factor.
  double usual = factor > 1 ? 0.1 * std::log(factor) + 1 : 1;
  rope.attentionFactor = metadata.positive("llama.rope.scaling.attn_factor", 1) * usual;
  if (!(rope.theta > 1)) metadata.fail("llama.rope.freq_base", std::to_string(rope.theta), "more than 1 for yarn");
}

void readHeads(Metadata &metadata, Sizes &sizes) {
  sizes.heads = metadata.integer("llama.attention.head_count", 1, llm::kMostHeads);
  sizes.kvHeads = metadata.integer("llama.attention.head_count_kv", 1, llm::kMostHeads, sizes.heads);
  if (sizes.heads % sizes.kvHeads)
    metadata.fail("llama.attention.head_count_kv", llvm::Twine(sizes.kvHeads),
                  "a divisor of head_count (" + llvm::Twine(sizes.heads) + ")");
  bool hasDim = metadata.has("llama.attention.key_length");
  if (!hasDim && sizes.hidden % sizes.heads)
    metadata.fail("llama.attention.head_count", llvm::Twine(sizes.heads),
                  "a divisor of embedding_length (" + llvm::Twine(sizes.hidden) + "), or attention.key_length");
  int64_t dim = metadata.integer("llama.attention.key_length", 1, llm::kMostHeadDim, sizes.hidden / sizes.heads);
  int64_t valueDim = metadata.integer("llama.attention.value_length", 1, llm::kMostHeadDim, dim);
  if (valueDim != dim)
    metadata.fail("llama.attention.value_length", llvm::Twine(valueDim), llvm::Twine(dim) + ", as key_length");
  if (dim % 2) metadata.fail("llama.attention.key_length", llvm::Twine(dim), "an even number");
  int64_t rotated = metadata.integer("llama.rope.dimension_count", 1, llm::kMostHeadDim, dim);
  if (rotated != dim)
    metadata.fail("llama.rope.dimension_count", llvm::Twine(rotated), llvm::Twine(dim) + ", all of a head");
  sizes.headDim = sizes.rope.dim = dim;
}
} // namespace

Sizes readSizes(Metadata &metadata) {
  Sizes sizes;
  std::string architecture = metadata.text("general.architecture");
  if (!architecture.empty() && architecture != kArchitecture)
    metadata.fail("general.architecture", "'" + architecture + "'", "one of: " + kArchitecture);
  sizes.hidden = metadata.integer("llama.embedding_length", 1, llm::kMostHidden);
  sizes.intermediate = metadata.integer("llama.feed_forward_length", 1, llm::kMostHidden);
  sizes.layers = metadata.integer("llama.block_count", 1, llm::kMostLayers);
  sizes.context = metadata.integer("llama.context_length", 1, llm::kMostContext);
  sizes.window = metadata.integer("llama.attention.sliding_window", 0, llm::kMostContext, 0);
  sizes.epsilon = metadata.positive("llama.attention.layer_norm_rms_epsilon");
  if (!(float(sizes.epsilon) > 0))
    metadata.fail("llama.attention.layer_norm_rms_epsilon", "a number too small for f32", "about 1e-5");
  sizes.rope.theta = metadata.positive("llama.rope.freq_base", 10000);
  readHeads(metadata, sizes);
  readRopeScaling(metadata, sizes);
  if (metadata.boolean("llama.attention.causal") == false)
    metadata.fail("llama.attention.causal", "false", "a causal model");
  for (const Refused &row : kRefused)
    if (double value = anyNumber(metadata, row.key); value != 0 && value != row.neutral)
      metadata.fail(row.key, std::to_string(value), std::to_string(row.neutral), "this form of llama is not supported");
  return sizes;
}

} // namespace llmc::gguf
