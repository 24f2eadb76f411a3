// The metadata of a llama-architecture GGUF file -> checked sizes.
#pragma once
#include "dialects/llm/Rope.h"
#include "frontends/gguf/Metadata.h"

namespace llmc::gguf {

/// Sizes are within the limits of dialects/llm/Decoder.h and fit together.
struct Sizes {
  int64_t hidden = 0, intermediate = 0, layers = 0, heads = 0, kvHeads = 0, headDim = 0, context = 0, window = 0;
  double epsilon = 0;
  llm::RopeConfig rope;
};

/// An unknown architecture, or a key that changes the model in a way that is not supported, is an error of `metadata`.
Sizes readSizes(Metadata &metadata);

} // namespace llmc::gguf
