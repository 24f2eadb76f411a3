#include "tools/llmc/Api.h"

namespace llmc::cli {

llvm::Expected<Api> bindApi(llvm::function_ref<void *(const char *name)> lookup) {
  Api api;
  const struct {
    const char *name;
    void *slot;
  } functions[] = {
      {"llmc_abi_version", &api.abiVersion},
      {"llmc_open", &api.open},
      {"llmc_close", &api.close},
      {"llmc_info", &api.info},
      {"llmc_text", &api.text},
      {"llmc_plan", &api.plan},
      {"llmc_context_create", &api.contextCreate},
      {"llmc_context_free", &api.contextFree},
      {"llmc_context_get_state", &api.contextGetState},
      {"llmc_context_describe", &api.contextDescribe},
      {"llmc_sequence_create", &api.sequenceCreate},
      {"llmc_sequence_length", &api.sequenceLength},
      {"llmc_sequence_truncate", &api.sequenceTruncate},
      {"llmc_step", &api.step},
      {"llmc_logit_count", &api.logitCount},
      {"llmc_logits", &api.logits},
      {"llmc_best", &api.best},
      {"llmc_sampler_create", &api.samplerCreate},
      {"llmc_sampler_free", &api.samplerFree},
      {"llmc_sample", &api.sample},
      {"llmc_sampler_best", &api.samplerBest},
      {"llmc_sample_best", &api.sampleBest},
      {"llmc_graph_inputs", &api.graphInputs},
      {"llmc_graph_outputs", &api.graphOutputs},
      {"llmc_graph_input", &api.graphInput},
      {"llmc_graph_output", &api.graphOutput},
      {"llmc_graph_run", &api.graphRun},
      {"llmc_graph_result_output", &api.graphResultOutput},
      {"llmc_graph_result_free", &api.graphResultFree},
  };
  static_assert(sizeof functions / sizeof *functions == sizeof(Api) / sizeof(void *));
  for (const auto &function : functions) {
    void *address = lookup(function.name);
    if (!address)
      return llvm::createStringError(std::string("found no function ") + function.name +
                                     ", expected it in an artifact");
    memcpy(function.slot, &address, sizeof address);
    if (function.slot != &api.abiVersion || api.abiVersion() == LLMC_ABI_VERSION) continue;
    return llvm::createStringError("found ABI version " + std::to_string(api.abiVersion()) + ", expected " +
                                   std::to_string(LLMC_ABI_VERSION) + "; compile the model again");
  }
  return api;
}

} // namespace llmc::cli
