// An open fake model with its weights in memory, and a context of it.
#pragma once
#include "FakeModel.h"
#include "llmc.h"
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace llmc::test {

inline std::vector<int32_t> randomTokens(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t &t : tokens) t = int32_t(random() % kFakeVocab);
  return tokens;
}

/// Weights of the fake model, [vocab][hidden].
struct alignas(64) FakeWeights {
  uint32_t words[kFakeVocab * kFakeHidden];
  FakeWeights() {
    for (int i = 0; i < kFakeVocab * kFakeHidden; ++i) words[i] = fakeWeight(i / kFakeHidden, i % kFakeHidden);
  }
};

struct Model {
  FakeWeights weights;
  llmc_model *model = nullptr;
  Model() {
    llmc_open_options options = {};
    options.abi_version = LLMC_ABI_VERSION;
    options.weights = &weights;
    options.weights_size = sizeof weights.words;
    llmc_error error = {};
    if (llmc_open(&model, &options, &error)) ADD_FAILURE() << error.message;
  }
  Model(const Model &) = delete;
  ~Model() { close(); }
  void close() { llmc_close(model), model = nullptr; }
};

struct Session {
  Model model;
  llmc_context *context = nullptr;
  llmc_error error = {};
  explicit Session(const llmc_context_options &options) {
    if (llmc_context_create(&context, model.model, &options, &error)) ADD_FAILURE() << error.message;
  }
  Session(const Session &) = delete;
  ~Session() { llmc_context_free(context); }

  int32_t create() {
    int32_t id = -1;
    EXPECT_EQ(llmc_sequence_create(context, &id, &error), LLMC_OK) << error.message;
    return id;
  }
  int step(const std::vector<int32_t> &tokens, const std::vector<int32_t> &sequences,
           const std::vector<uint8_t> *want = nullptr) {
    llmc_step_input input = {int64_t(tokens.size()), tokens.data(), sequences.data(), want ? want->data() : nullptr};
    static int32_t none;
    if (tokens.empty()) input.tokens = input.sequences = &none;
    return llmc_step(context, &input, &error);
  }
  int append(int32_t sequence, const std::vector<int32_t> &tokens) {
    return step(tokens, std::vector<int32_t>(tokens.size(), sequence));
  }
  std::vector<float> logits(int64_t i) const {
    const float *row = llmc_logits(context, i);
    return row ? std::vector<float>(row, row + kFakeVocab) : std::vector<float>();
  }
  llmc_context_state state() const {
    llmc_context_state state;
    llmc_context_get_state(context, &state);
    return state;
  }
};

} // namespace llmc::test
