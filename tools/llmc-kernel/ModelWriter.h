// Models of random weights as files that llmc and others read.
#pragma once
#include "tools/llmc-kernel/ModelShape.h"
#include "tools/llmc-kernel/RandomWeights.h"
#include "tools/llmc/NewFile.h"

namespace llmc::tool {

using cli::NewFile;

/// Bytes that are written at once; all weights pass through one buffer of this size.
inline constexpr int64_t kWriteBytes = int64_t(4) << 20;

/// A Hugging Face folder: config.json and model.safetensors; no tokenizer. The same seed gives the same bytes.
llvm::Error writeHuggingFace(const ModelShape &shape, HalfType type, uint64_t seed, const std::string &folder);
/// A GGUF file: matrices in Q4_0, norms in f32, and a tokenizer that knows the 256 bytes and no words (the rest of the
/// vocabulary is unused tokens; shape.vocab is at least kLeastGgufVocab).
llvm::Error writeGguf(const ModelShape &shape, uint64_t seed, const std::string &path);
inline constexpr int64_t kLeastGgufVocab = 3 + 256;

} // namespace llmc::tool
