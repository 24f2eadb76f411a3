// The functions of llmc.h as an artifact or a model in the JIT has them.
#pragma once
#include "llmc.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

namespace llmc::cli {

/// One pointer per function; not null once bound, but for those that older artifacts of this ABI version lack. Names
/// and meaning: llmc.h.
struct Api {
  decltype(&::llmc_abi_version) abiVersion;
  decltype(&::llmc_open) open;
  decltype(&::llmc_close) close;
  decltype(&::llmc_info) info;
  decltype(&::llmc_text) text;
  decltype(&::llmc_plan) plan;
  decltype(&::llmc_context_create) contextCreate;
  decltype(&::llmc_context_free) contextFree;
  decltype(&::llmc_context_get_state) contextGetState;
  decltype(&::llmc_context_describe) contextDescribe;
  decltype(&::llmc_sequence_create) sequenceCreate;
  decltype(&::llmc_sequence_length) sequenceLength;
  decltype(&::llmc_sequence_truncate) sequenceTruncate;
  decltype(&::llmc_step) step;
  decltype(&::llmc_logit_count) logitCount;
  decltype(&::llmc_logits) logits;
  decltype(&::llmc_best) best;
  decltype(&::llmc_sampler_create) samplerCreate;
  decltype(&::llmc_sampler_free) samplerFree;
  decltype(&::llmc_sample) sample;
  decltype(&::llmc_sampler_best) samplerBest;
  decltype(&::llmc_sample_best) sampleBest;
  // Plain graphs.
  decltype(&::llmc_graph_inputs) graphInputs;
  decltype(&::llmc_graph_outputs) graphOutputs;
  decltype(&::llmc_graph_input) graphInput;
  decltype(&::llmc_graph_output) graphOutput;
  decltype(&::llmc_graph_run) graphRun;
  decltype(&::llmc_graph_result_output) graphResultOutput;
  decltype(&::llmc_graph_result_free) graphResultFree;
};

/// Looks up each function by its name in llmc.h and checks the ABI version before anything else.
llvm::Expected<Api> bindApi(llvm::function_ref<void *(const char *name)> lookup);

} // namespace llmc::cli
