// The weight of one linear in the layouts of Hugging Face's quantised checkpoints (WqOps.td, !wq.encoded).
#pragma once
#include "frontends/hf/Quantisation.h"
#include "frontends/hf/TensorReader.h"

namespace llmc::hf {

/// Whether the checkpoint has `module` in the config's layout. Both a quantised and a plain weight, or a quantised one
/// that the config calls plain, are errors of `reader`.
bool isQuantised(TensorReader &reader, const Quantisation &config, const std::string &module);

/// The weight [n, k] of `module`, which isQuantised(). Names, dtypes, shapes and the values that others are looked up
/// by are checked. Group indices that are in order and zero points that are all the middle code are left out: the
/// weight is then what it would be without them.
llm::DecoderWeight readQuantised(TensorReader &reader, const Quantisation &config, const std::string &module, int64_t n,
                                 int64_t k);

} // namespace llmc::hf
