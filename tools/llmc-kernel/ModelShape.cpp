#include "tools/llmc-kernel/ModelShape.h"
#include <cmath>

namespace llmc::tool {

const std::vector<ModelShape> &modelShapes() {
  static const std::vector<ModelShape> all = {
      {.name = "llama-7b", // Llama 2
       .hidden = 4096,
       .layers = 32,
       .heads = 32,
       .kvHeads = 32,
       .headDim = 128,
       .intermediate = 11008,
       .vocab = 32000,
       .context = 4096,
       .ropeTheta = 10000,
       .tied = false},
      {.name = "llama-1b", // Llama 3.2
       .hidden = 2048,
       .layers = 16,
       .heads = 32,
       .kvHeads = 8,
       .headDim = 64,
       .intermediate = 8192,
       .vocab = 128256,
       .context = 131072,
       .ropeTheta = 500000,
       .tied = true},
      {.name = "tinyllama-1.1b",
       .hidden = 2048,
       .layers = 22,
       .heads = 32,
       .kvHeads = 4,
       .headDim = 64,
       .intermediate = 5632,
       .vocab = 32000,
       .context = 2048,
       .ropeTheta = 10000,
       .tied = false},
      {.name = "smollm2-135m",
       .hidden = 576,
       .layers = 30,
       .heads = 9,
       .kvHeads = 3,
       .headDim = 64,
       .intermediate = 1536,
       .vocab = 49152,
       .context = 8192,
       .ropeTheta = 100000,
       .tied = true},
  };
  return all;
}

std::vector<ShapeTensor> tensorsOf(const ModelShape &s) {
  std::vector<ShapeTensor> all;
  // A row of k products of values of size 1; what is added to the residual stream 2 * layers times is smaller by that.
  auto unit = [](int64_t k) { return 1 / std::sqrt(double(k)); };
  auto residual = [&](int64_t k) { return unit(k) / std::sqrt(2 * double(s.layers)); };
  int64_t q = s.heads * s.headDim, kv = s.kvHeads * s.headDim;
  all.push_back({"model.embed_tokens.weight", "token_embd.weight", s.vocab, s.hidden, unit(s.hidden)});
  for (int64_t i = 0; i < s.layers; ++i) {
    std::string to = "model.layers." + std::to_string(i) + ".", from = "blk." + std::to_string(i) + ".";
    auto add = [&](const char *name, const char *gguf, int64_t rows, int64_t columns, double deviation) {
      all.push_back({to + name + ".weight", from + gguf + ".weight", rows, columns, deviation});
    };
    add("input_layernorm", "attn_norm", 0, s.hidden, 0);
    add("self_attn.q_proj", "attn_q", q, s.hidden, unit(s.hidden));
    add("self_attn.k_proj", "attn_k", kv, s.hidden, unit(s.hidden));
    add("self_attn.v_proj", "attn_v", kv, s.hidden, unit(s.hidden));
    add("self_attn.o_proj", "attn_output", s.hidden, q, residual(q));
    add("post_attention_layernorm", "ffn_norm", 0, s.hidden, 0);
    add("mlp.gate_proj", "ffn_gate", s.intermediate, s.hidden, unit(s.hidden));
    add("mlp.up_proj", "ffn_up", s.intermediate, s.hidden, unit(s.hidden));
    add("mlp.down_proj", "ffn_down", s.hidden, s.intermediate, residual(s.intermediate));
  }
  all.push_back({"model.norm.weight", "output_norm.weight", 0, s.hidden, 0});
  if (!s.tied) all.push_back({"lm_head.weight", "output.weight", s.vocab, s.hidden, unit(s.hidden)});
  return all;
}

} // namespace llmc::tool
