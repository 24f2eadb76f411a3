// config.json of the Llama-like families -> checked sizes and choices.
#pragma once
#include "dialects/llm/Rope.h"
#include "frontends/hf/Quantisation.h"
#include <string>
#include <vector>

namespace llmc::hf {

/// What config.json says, with the defaults of Hugging Face where a key is absent. Sizes are within the limits of
/// dialects/llm/Decoder.h and fit together.
struct Config {
  std::string modelType;
  std::string name; // _name_or_path, or empty
  int64_t hidden = 0, intermediate = 0, layers = 0, heads = 0, kvHeads = 0, headDim = 0, vocab = 0, maxPositions = 0;
  double epsilon = 0;
  bool hasHeadDim = false, useWindow = false;                       // head_dim is given; use_sliding_window
  int64_t experts = 0, expertsPerToken = 0, expertIntermediate = 0; // 0: not said
  int64_t sparseStep = 1;           // decoder_sparse_step: every so many layers have experts
  std::vector<int64_t> denseLayers; // mlp_only_layers
  bool renormaliseExperts = false;  // norm_topk_prob
  int64_t window = 0;               // sliding_window; 0: none
  std::string activation;           // hidden_act
  llm::RopeConfig rope;
  bool attentionBias = false, mlpBias = false, tied = false;
  std::optional<Quantisation> quantisation;
  int64_t bosId = -1;
  std::vector<int64_t> eosIds;
};

/// `file` stands in messages.
llvm::Expected<Config> parseConfig(llvm::StringRef file, const nlohmann::json &document);

/// `bos_token_id` and `eos_token_id` (a number or a list) of config.json or generation_config.json; absent ones leave
/// what is there. Ids outside the vocabulary can never be produced and are dropped.
void readSpecialIds(Fields &fields, int64_t vocab, int64_t &bosId, std::vector<int64_t> &eosIds);

} // namespace llmc::hf
