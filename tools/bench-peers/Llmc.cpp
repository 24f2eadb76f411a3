// llmc: the artifact's own C ABI, llmc.h, through dlopen.
#include "Engine.h"
#include <dlfcn.h>
#include <llmc.h>

namespace llmc::peers {
namespace {

struct Functions {
  explicit Functions(const std::string &path) : library(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (!library) fail(dlerror());
  }
  template <class Function> Function *find(const char *name) {
    void *symbol = dlsym(library, name);
    if (!symbol) fail(dlerror());
    return reinterpret_cast<Function *>(symbol);
  }
  void *library;
};

class Llmc : public Engine {
public:
  explicit Llmc(const Config &config) : api(config.model), threads(config.threads) {
    if (int version = api.find<decltype(llmc_abi_version)>("llmc_abi_version")(); version != LLMC_ABI_VERSION)
      fail("found ABI version " + std::to_string(version) + ", expected " + std::to_string(LLMC_ABI_VERSION));
    check(api.find<decltype(llmc_open)>("llmc_open")(&model, nullptr, &error));
    api.find<decltype(llmc_info)>("llmc_info")(model, &info);
  }

  std::string settings() const override {
    return "{\"target\": " + jsonString(info.target) + ", \"kv_bits\": " + std::to_string(info.kv_bits) + "}";
  }

  int64_t vocab() const override { return info.vocab; }

  void prepare(int count, int positions) override {
    if (context && count == sequences && positions == room) {
      for (int s = 0; s < count; ++s) check(truncate(context, s, 0, &error));
      return;
    }
    if (context) release(context);
    sequences = count, room = positions;
    int64_t page = info.page_positions;
    llmc_context_options options = {};
    options.max_batch_rows = kRows;
    options.max_positions = count * ((positions + page - 1) / page * page);
    options.max_sequences = count;
    options.threads = threads;
    check(create(&context, model, &options, &error));
    for (int32_t s = 0, id; s < count; ++s) check(createSequence(context, &id, &error)); // ids are 0, 1, ...
  }

  const float *step(const std::vector<int32_t> &tokens, int count) override {
    owners.resize(tokens.size());
    for (size_t i = 0; i < owners.size(); ++i) owners[i] = int32_t(i / size_t(count));
    llmc_step_input input = {int64_t(tokens.size()), tokens.data(), owners.data(), nullptr};
    check(run(context, &input, &error));
    return logits(context, sequences - 1);
  }

private:
  void check(int status) {
    if (status != LLMC_OK) fail(error.message);
  }

  Functions api;
  decltype(&llmc_context_create) create = api.find<decltype(llmc_context_create)>("llmc_context_create");
  decltype(&llmc_context_free) release = api.find<decltype(llmc_context_free)>("llmc_context_free");
  decltype(&llmc_sequence_create) createSequence = api.find<decltype(llmc_sequence_create)>("llmc_sequence_create");
  decltype(&llmc_sequence_truncate) truncate = api.find<decltype(llmc_sequence_truncate)>("llmc_sequence_truncate");
  decltype(&llmc_step) run = api.find<decltype(llmc_step)>("llmc_step");
  decltype(&llmc_logits) logits = api.find<decltype(llmc_logits)>("llmc_logits");
  llmc_model *model = nullptr;
  llmc_context *context = nullptr;
  llmc_model_info info = {};
  llmc_error error = {};
  int threads = 1, sequences = 0, room = 0;
  std::vector<int32_t> owners;
};

} // namespace

std::unique_ptr<Engine> createEngine(const Config &config) {
  if (!config.options.empty()) fail("found " + config.options[0].first + ", expected no options");
  return std::make_unique<Llmc>(config);
}

} // namespace llmc::peers
