// llama.cpp, or ik_llama.cpp with -DIK_LLAMA, through llama.h: weights repacked while loading, flash attention on, KV
// cache in f16. ik_llama.cpp also merges Q, K and V (its options -rtr and -mqkv).
#include "Engine.h"
#include <cstring>
#include <fstream>
#include <llama.h>

namespace llmc::peers {
namespace {

/// The loader's lines about memory: they show whether the weights were repacked.
std::string g_buffers;

void onLog(ggml_log_level, const char *text, void *) {
  for (const char *word : {"repacked", "buffer size"})
    if (std::strstr(text, word)) g_buffers += text;
}

class LlamaCpp : public Engine {
public:
  explicit LlamaCpp(const Config &config) : threads(config.threads) {
    llama_log_set(onLog, nullptr);
    llama_backend_init();
    llama_model_params params = llama_model_default_params();
#ifdef IK_LLAMA
    params.repack_tensors = params.merge_qkv = true;
    params.use_mmap = false; // repacking in place needs memory of its own
    model = llama_model_load_from_file(config.model.c_str(), params);
    if (model) words = llama_n_vocab(model);
#else
    params.use_extra_bufts = true;
    model = llama_model_load_from_file(config.model.c_str(), params);
    if (model) words = llama_vocab_n_tokens(llama_model_get_vocab(model));
#endif
    if (!model) fail(config.model + ": cannot be loaded");
    buffers = g_buffers;
    batch = llama_batch_init(kRows, 0, 1);
  }

  ~LlamaCpp() override {
    llama_batch_free(batch);
    if (context) llama_free(context);
  }

  std::string settings() const override {
    return "{\"system\": " + jsonString(llama_print_system_info()) + ", \"memory\": " + jsonString(buffers) + "}";
  }

  int64_t vocab() const override { return words; }

  void prepare(int count, int positions) override {
    lengths.assign(count, 0);
    if (context && count == sequences && positions == room) return clear();
    if (context) llama_free(context);
    sequences = count, room = positions;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = uint32_t(cells(positions, count));
    params.n_batch = params.n_ubatch = kRows;
    params.n_seq_max = uint32_t(count);
    params.n_threads = params.n_threads_batch = threads;
#ifdef IK_LLAMA
    // Its kernel (iqk_fa_templates.h, compute_helper) skips blocks of keys by the mask of their first position,
    // which is right for one sequence only: with more it aborts with GGML_ASSERT(S > 0), or leaves out keys.
    params.flash_attn = count == 1;
#else
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.kv_unified = false;
#endif
    context = llama_init_from_model(model, params);
    if (!context) fail("no context for " + std::to_string(count) + " x " + std::to_string(positions) + " tokens");
  }

  const float *step(const std::vector<int32_t> &tokens, int count) override {
    batch.n_tokens = 0;
    for (int s = 0; s < sequences; ++s)
      for (int i = 0; i < count; ++i) {
        int row = batch.n_tokens++;
        batch.token[row] = tokens[size_t(s) * count + i];
        batch.pos[row] = lengths[s]++;
        batch.n_seq_id[row] = 1;
        batch.seq_id[row][0] = s;
        batch.logits[row] = i + 1 == count;
      }
    if (int status = llama_decode(context, batch)) fail("llama_decode: " + std::to_string(status));
    llama_synchronize(context);
    return llama_get_logits_ith(context, batch.n_tokens - 1);
  }

  bool save(const std::string &path) override {
    std::vector<llama_token> tokens(lengths[0]); // their number is what restore() needs
    return llama_state_seq_save_file(context, path.c_str(), 0, tokens.data(), tokens.size()) > 0;
  }

  bool restore(const std::string &path, int depth) override {
    std::vector<llama_token> tokens(room);
    size_t count = 0;
    if (!std::ifstream(path) ||
        !llama_state_seq_load_file(context, path.c_str(), 0, tokens.data(), tokens.size(), &count))
      return false;
    if (count != size_t(depth)) fail(path + ": found " + std::to_string(count) + " tokens");
    lengths[0] = depth;
    return true;
  }

private:
  /// Of the cache, in pages of 256. llama.cpp has a part for each sequence, ik_llama.cpp one for all.
  static int cells(int positions, int count) {
    constexpr int kPage = 256;
#ifdef IK_LLAMA
    return (positions * count + kPage - 1) / kPage * kPage;
#else
    return (positions + kPage - 1) / kPage * kPage * count;
#endif
  }

  void clear() {
#ifdef IK_LLAMA
    llama_kv_cache_clear(context);
#else
    llama_memory_clear(llama_get_memory(context), true);
#endif
  }

  llama_model *model = nullptr;
  llama_context *context = nullptr;
  llama_batch batch = {};
  std::string buffers;
  int64_t words = 0;
  int threads = 1, sequences = 0, room = 0;
  std::vector<int> lengths; // tokens in each sequence
};

} // namespace

std::unique_ptr<Engine> createEngine(const Config &config) {
  if (!config.options.empty()) fail("found " + config.options[0].first + ", expected no options");
  return std::make_unique<LlamaCpp>(config);
}

} // namespace llmc::peers
