// Mixtures of experts, compiled in memory: logits against the evaluator's, the same bits for any threads and company.
#include "compiler/Jit.h"
#include "dialects/llm/Eval.h"
#include "frontends/File.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <random>

namespace llmc {
namespace {

constexpr int kHidden = 64, kIntermediate = 96, kVocab = 48, kNanToken = 47;

template <typename T> T get(llvm::Expected<T> value) {
  if (!value) throw std::runtime_error(llvm::toString(value.takeError())); // a failed test, with the reason
  return std::move(*value);
}

/// A Mixtral of one layer with seeded weights. Routers' rows are equal in pairs, so that every choice has ties.
class TinyMixtral {
public:
  TinyMixtral(int experts, int k, bool withNan = false) {
    EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("llmc-moe-test", folder));
    write("config.json",
          llvm::formatv(
              R"({{"model_type": "mixtral", "hidden_size": {0}, "intermediate_size": {1}, "num_hidden_layers": 1,
                   "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": {2}, "rms_norm_eps": 1e-5,
                   "num_local_experts": {3}, "num_experts_per_tok": {4}, "max_position_embeddings": 256})",
              kHidden, kIntermediate, kVocab, experts, k)
              .str());
    tensor("model.embed_tokens.weight", kVocab, kHidden, 1);
    if (withNan) std::fill_n(tensors.back().values.begin() + kNanToken * kHidden, kHidden, NAN);
    std::string layer = "model.layers.0.";
    for (const char *name : {"input_layernorm", "post_attention_layernorm"}) tensor(layer + name + ".weight", kHidden);
    tensor(layer + "self_attn.q_proj.weight", kHidden, kHidden),
        tensor(layer + "self_attn.o_proj.weight", kHidden, kHidden);
    tensor(layer + "self_attn.k_proj.weight", kHidden / 2, kHidden);
    tensor(layer + "self_attn.v_proj.weight", kHidden / 2, kHidden);
    tensor(layer + "block_sparse_moe.gate.weight", experts, kHidden);
    for (int e = 1; e < experts; e += 2)
      std::copy_n(tensors.back().values.begin() + (e - 1) * kHidden, kHidden,
                  tensors.back().values.begin() + e * kHidden);
    for (int e = 0; e < experts; ++e) {
      std::string expert = layer + "block_sparse_moe.experts." + std::to_string(e) + ".";
      tensor(expert + "w1.weight", kIntermediate, kHidden), tensor(expert + "w3.weight", kIntermediate, kHidden);
      tensor(expert + "w2.weight", kHidden, kIntermediate);
    }
    tensor("model.norm.weight", kHidden), tensor("lm_head.weight", kVocab, kHidden);
    save();
  }
  ~TinyMixtral() { llvm::sys::fs::remove_directories(folder); }
  std::string path() const { return folder.str().str(); }

private:
  struct Tensor {
    std::string name, shape;
    std::vector<float> values;
  };
  void tensor(const std::string &name, int rows, int columns = 0, float scale = 0) {
    std::normal_distribution<float> normal(columns ? 0 : 1, scale ? scale : columns ? 2 / std::sqrt(columns) : 0.2f);
    std::vector<float> values(rows * std::max(columns, 1));
    for (float &value : values) value = normal(random);
    std::string shape = columns ? llvm::formatv("[{0}, {1}]", rows, columns).str() : llvm::formatv("[{0}]", rows).str();
    tensors.push_back({name, shape, std::move(values)});
  }
  void save() {
    std::string header, data;
    for (const Tensor &t : tensors) {
      size_t begin = data.size();
      data.append(reinterpret_cast<const char *>(t.values.data()), t.values.size() * 4);
      header += llvm::formatv(R"({0}"{1}": {{"dtype": "F32", "shape": {2}, "data_offsets": [{3}, {4}]})",
                              header.empty() ? "{" : ", ", t.name, t.shape, begin, data.size());
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    uint64_t size = header.size();
    write("model.safetensors", std::string(reinterpret_cast<const char *>(&size), 8) + header + data);
  }
  void write(const std::string &name, const std::string &text) { std::ofstream(path() + "/" + name) << text; }

  llvm::SmallString<128> folder;
  std::vector<Tensor> tensors;
  std::mt19937 random{7};
};

struct Functions {
  explicit Functions(JitModel &jit) {
#define FIND(name) name = reinterpret_cast<decltype(&::llmc_##name)>(jit.lookup("llmc_" #name));
    FIND(open) FIND(close) FIND(context_create) FIND(context_free) FIND(sequence_create) FIND(step) FIND(logits)
#undef FIND
  }
  decltype(&::llmc_open) open;
  decltype(&::llmc_close) close;
  decltype(&::llmc_context_create) context_create;
  decltype(&::llmc_context_free) context_free;
  decltype(&::llmc_sequence_create) sequence_create;
  decltype(&::llmc_step) step;
  decltype(&::llmc_logits) logits;
};

struct Compiled {
  Compiled(const std::string &path, const Options &options) : context(makeContext()) {
    compilation = get(compileModel(path, options, *context));
    jit = get(JitModel::create(*compilation));
    f.emplace(*jit);
    llmc_open_options open = {
        .abi_version = LLMC_ABI_VERSION, .weights = jit->weights(), .weights_size = jit->weightBytes()};
    EXPECT_EQ(f->open(&model, &open, nullptr), LLMC_OK);
  }
  ~Compiled() { f->close(model); }

  /// The logits of all tokens of one step; sequences[i] is the sequence of token i, numbered from 0.
  std::vector<float> step(const std::vector<int32_t> &tokens, const std::vector<int32_t> &sequences, int threads) {
    int64_t n = int64_t(tokens.size()), count = 1 + *std::max_element(sequences.begin(), sequences.end());
    llmc_context_options options = {.max_batch_rows = n,
                                    .max_logit_rows = n,
                                    .max_positions = 256,
                                    .max_sequences = count,
                                    .threads = threads,
                                    .pin = 2};
    llmc_context *c = nullptr;
    llmc_error error = {};
    EXPECT_EQ(f->context_create(&c, model, &options, &error), LLMC_OK) << error.message;
    for (int64_t s = 0; s < count; ++s) {
      int32_t id;
      EXPECT_EQ(f->sequence_create(c, &id, &error), LLMC_OK) << error.message;
    }
    std::vector<uint8_t> want(n, 1);
    llmc_step_input input = {
        .n = n, .tokens = tokens.data(), .sequences = sequences.data(), .want_logits = want.data()};
    EXPECT_EQ(f->step(c, &input, &error), LLMC_OK) << error.message;
    std::vector<float> result;
    for (int64_t i = 0; i < n; ++i) result.insert(result.end(), f->logits(c, i), f->logits(c, i) + kVocab);
    f->context_free(c);
    return result;
  }

  std::unique_ptr<mlir::MLIRContext> context;
  std::optional<Compilation> compilation;
  std::unique_ptr<JitModel> jit;
  std::optional<Functions> f;
  llmc_model *model = nullptr;
};

std::vector<int32_t> someTokens(int count) {
  std::vector<int32_t> tokens(count);
  for (int i = 0; i < count; ++i) tokens[i] = (i * 29 + 5) % kNanToken;
  return tokens;
}

/// @step of the model as it is after stage `rows`: weights quantised, rows rounded, by the meaning of each op.
std::vector<float> expected(const std::string &path, Options options, const std::vector<int32_t> &tokens) {
  options.stopAfter = "rows";
  auto context = makeContext();
  Compilation c = get(compileModel(path, options, *context));
  InputFile file = get(InputFile::open(c.model.files.at(0)));
  llm::Evaluator evaluator(*c.variants.at(0).module, {{"weights", {file.bytes().bytes_begin(), file.bytes().size()}}});
  std::vector<int32_t> rows(tokens.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = int32_t(i);
  return get(evaluator.step(tokens, rows, rows));
}

/// The largest difference, as a share of the spread of the wanted values; NaN counts as infinite.
double difference(const std::vector<float> &found, const std::vector<float> &wanted) {
  EXPECT_EQ(found.size(), wanted.size());
  auto [least, most] = std::minmax_element(wanted.begin(), wanted.end());
  double worst = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    double d = std::abs(double(found[i]) - double(wanted[i])) / (*most - *least);
    worst = d <= worst ? worst : std::isnan(d) ? INFINITY : d;
  }
  return worst;
}

struct Mode {
  const char *quantize, *compute;
  double limit; // q8 rows: a code more or less where f32 sums differ in the last bits
};
const Mode kModes[] = {{"keep", "f32", 1e-5}, {"int4", "f32", 1e-5}, {"int4", "int8", 1e-2}, {"int8", "int8", 1e-2}};

TEST(Moe, LogitsAreTheEvaluators) {
  for (auto [experts, k] : {std::pair(1, 1), {4, 1}, {4, 2}, {8, 1}, {8, 2}, {8, 8}, {60, 1}, {60, 2}, {60, 8}}) {
    TinyMixtral mixtral(experts, k);
    for (const Mode &mode : kModes) {
      Options options{.quantize = mode.quantize, .compute = mode.compute, .kvType = "f32", .threads = 1};
      Compiled compiled(mixtral.path(), options);
      for (int rows : {1, 3, 7, 33}) {
        SCOPED_TRACE(
            llvm::formatv("{0} of {1} experts, {2} {3}, {4} rows", k, experts, mode.quantize, mode.compute, rows)
                .str());
        std::vector<int32_t> tokens = someTokens(rows), sequences(rows, 0);
        std::vector<float> one = compiled.step(tokens, sequences, 1);
        EXPECT_LE(difference(one, expected(mixtral.path(), options, tokens)), mode.limit);
      }
    }
  }
}

/// More threads than this machine has CPUs wait for each other: few of the shapes above.
TEST(Moe, SameBitsForAnyThreads) {
  for (auto [experts, k] : {std::pair(8, 2), {60, 8}}) {
    TinyMixtral mixtral(experts, k);
    Compiled compiled(mixtral.path(), {.quantize = "int4", .compute = "int8", .kvType = "f32", .threads = 1});
    for (int rows : {1, 7, 33}) {
      std::vector<int32_t> tokens = someTokens(rows), sequences(rows, 0);
      std::vector<float> one = compiled.step(tokens, sequences, 1);
      for (int threads : {2, 3, 7})
        EXPECT_EQ(compiled.step(tokens, sequences, threads), one) << rows << " rows, " << threads << " threads";
    }
  }
}

/// A row that is not a number spoils its own sequence alone, wherever its experts lie.
TEST(Moe, NaNStaysInItsSequence) {
  TinyMixtral mixtral(8, 2, true);
  Compiled compiled(mixtral.path(), {.quantize = "keep", .compute = "f32", .kvType = "f32", .threads = 1});
  for (int rows : {2, 5, 20}) {
    std::vector<int32_t> tokens = someTokens(rows), sequences(rows, 0);
    std::vector<float> alone = compiled.step(tokens, sequences, 2);
    tokens.push_back(kNanToken), sequences.push_back(1);
    std::vector<float> together = compiled.step(tokens, sequences, 2);
    EXPECT_TRUE(std::isnan(together.back()));
    together.resize(alone.size());
    EXPECT_EQ(together, alone) << rows << " rows";
  }
}

} // namespace
} // namespace llmc
