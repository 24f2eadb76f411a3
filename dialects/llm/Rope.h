// Inverse frequencies of rotary embeddings: the formulas of Hugging Face transformers (modeling_rope_utils), in f32.
#pragma once
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>
#include <vector>

namespace llmc::llm {

/// A model's rotary configuration, as config files state it.
struct RopeConfig {
  std::string type = "default"; // default, linear, dynamic, llama3, yarn
  int64_t dim = 0;              // rotated channels of a head
  double theta = 10000;
  double factor = 1;
  int64_t originalMaxPositions = 0; // llama3, yarn: original_max_position_embeddings; dynamic: max_position_embeddings
  double lowFreqFactor = 1, highFreqFactor = 4; // llama3
  double betaFast = 32, betaSlow = 1;           // yarn
  double mscale = 0, mscaleAllDim = 0;          // yarn; 0: absent
  double attentionFactor = 0;                   // yarn; 0: absent
  bool truncate = true;                         // yarn: floor and ceil of the correction range
};

/// dim/2 inverse frequencies and the attention factor. An unknown type is an error that lists the known ones.
struct RopeTable {
  std::vector<float> invFreq;
  float scale = 1;
};
llvm::Expected<RopeTable> computeRope(const RopeConfig &config);

} // namespace llmc::llm
