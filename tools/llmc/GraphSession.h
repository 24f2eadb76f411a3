// Token ids through a plain graph that is a decoder: its inputs and outputs are bound by their names.
#pragma once
#include "tools/llmc/Generate.h"

namespace llmc::cli {

/// The output that has logits: named so, or else the first one of floats with more than one dim; null if there is none.
const llmc_value_info *findLogits(llvm::ArrayRef<llmc_value_info> outputs);

/// input_ids, attention_mask, position_ids and the like are made; past_* inputs are the present_* outputs of the run
/// before. A graph without a cache gets the whole sequence each time. An input that is none of these is an error.
llvm::Expected<std::unique_ptr<Session>> createGraphSession(const Model &model, int64_t positions);

} // namespace llmc::cli
