// The evaluator on modules small enough to work out by hand.
#include "dialects/llm/Eval.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace llmc;

namespace {

class Eval : public testing::Test {
protected:
  /// Adds f32 values to the weights file and gives the `#llm.storage` of them.
  std::string floats(const std::vector<float> &values) {
    auto *data = reinterpret_cast<const uint8_t *>(values.data());
    return bytes({data, data + values.size() * 4});
  }
  std::string bytes(const std::vector<uint8_t> &data) {
    std::string storage = "#llm.storage<0, " + std::to_string(file.size()) + ", " + std::to_string(data.size()) + ">";
    file.insert(file.end(), data.begin(), data.end());
    return storage;
  }
  /// A module with these symbols and a @step of this body, which names its arguments %t, %p, %rows.
  void load(const std::string &symbols, const std::string &body, const std::string &result) {
    std::string text = symbols + "\nfunc.func @step(%t: tensor<?xi32>, %p: tensor<?xi32>, %rows: tensor<?xi32>) -> " +
                       result + " {\n" + body + "\nreturn %y : " + result + "\n}\n";
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module) << text;
    evaluator.emplace(*module, std::vector<llm::InputFile>{{"weights", file}});
  }
  std::vector<float> step(std::vector<int32_t> tokens, std::vector<int32_t> positions,
                          std::vector<int32_t> rows = {0}) {
    auto y = evaluator->step(tokens, positions, rows);
    if (!y) {
      error = llvm::toString(y.takeError());
      return {};
    }
    return *y;
  }
  static void expectNear(const std::vector<float> &a, const std::vector<float> &b, float bound = 1e-6f) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], bound) << i;
  }
  Eval() { context.loadDialect<llm::LlmDialect, wq::WqDialect, mlir::func::FuncDialect>(); }

  mlir::MLIRContext context;
  std::vector<uint8_t> file;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<llm::Evaluator> evaluator;
  std::string error;
};

TEST_F(Eval, EmbedLinearSelect) {
  load("llm.weight @e : tensor<3x2xf32> [" + floats({1, 2, 3, 4, 5, 6}) + "]\n" + "llm.weight @w : tensor<3x2xf32> [" +
           floats({1, 0, 0, 1, 1, -1}) + "]\n" + "llm.weight @b : tensor<3xf32> [" + floats({10, 20, 30}) + "]",
       R"(%e = llm.get_weight @e : tensor<3x2xf32>
          %w = llm.get_weight @w : tensor<3x2xf32>
          %b = llm.get_weight @b : tensor<3xf32>
          %x = llm.embed %t, %e {scale = 2.0 : f32} : tensor<3x2xf32> -> tensor<?x2xf32>
          %s = llm.select_rows %x, %rows : tensor<?x2xf32>
          %l = llm.linear %s, %w bias %b : tensor<3xf32> : tensor<?x2xf32>, tensor<3x2xf32> -> tensor<?x3xf32>
          %y = llm.add %l, %l : tensor<?x3xf32>)",
       "tensor<?x3xf32>");
  EXPECT_EQ(step({2, 0}, {0, 1}, {1, 0}), (std::vector<float>{24, 48, 56, 40, 64, 56}));
  EXPECT_TRUE(step({3}, {0}).empty());
  EXPECT_EQ(error, "llm.embed: found token 3, expected 0 to 2");
  EXPECT_TRUE(step({1}, {5}).empty());
  EXPECT_EQ(error, "step: found position 5, expected 0 to 2, the cached positions");
  EXPECT_TRUE(step({1}, {0}, {1}).empty());
}

/// Logits 1 and 2: the second expert has softmax 0.7310586. silu(2) * 1 = 1.7615942, times (10, 20). Of equal logits
/// the first expert; both with k = 2.
TEST_F(Eval, Moe) {
  std::string weights =
      "llm.weight @e : tensor<2x2xf32> [" + floats({1, 2, 3, 3}) + "]\nllm.weight @r : tensor<2x2xf32> [" +
      floats({1, 0, 0, 1}) + "]\nllm.weight @g : tensor<1x2xf32> [" + floats({0, 1}) +
      "]\nllm.weight @u : tensor<1x2xf32> [" + floats({1, 0}) + "]\nllm.weight @d : tensor<2x1xf32> [" +
      floats({1, 2}) + "]\nllm.weight @d2 : tensor<2x1xf32> [" + floats({10, 20}) + "]";
  auto body = [](const char *attributes) {
    return std::string(R"(%e = llm.get_weight @e : tensor<2x2xf32>
          %r = llm.get_weight @r : tensor<2x2xf32>
          %g = llm.get_weight @g : tensor<1x2xf32>
          %u = llm.get_weight @u : tensor<1x2xf32>
          %d = llm.get_weight @d : tensor<2x1xf32>
          %d2 = llm.get_weight @d2 : tensor<2x1xf32>
          %x = llm.embed %t, %e : tensor<2x2xf32> -> tensor<?x2xf32>
          %l = llm.linear %x, %r : tensor<?x2xf32>, tensor<2x2xf32> -> tensor<?x2xf32>
          %y = llm.moe %x, %l gate(%g, %g) up(%u, %u) down(%d, %d2) {activation = #llm.activation<silu>, )") +
           attributes + R"(} : tensor<?x2xf32>, tensor<?x2xf32> (tensor<1x2xf32>, tensor<1x2xf32>)
              (tensor<1x2xf32>, tensor<1x2xf32>) (tensor<2x1xf32>, tensor<2x1xf32>))";
  };
  load(weights, body("k = 1 : i64"), "tensor<?x2xf32>");
  expectNear(step({0}, {0}), {12.87828f, 25.75657f}, 1e-4f);
  load(weights, body("k = 1 : i64, renormalise, scale = 2.0 : f32"), "tensor<?x2xf32>");
  expectNear(step({0}, {0}), {35.23188f, 70.46377f}, 1e-4f);
  float inner = 3 * 3 / (1 + std::exp(-3.0f)); // silu(3) * 3
  expectNear(step({1}, {1}), {2 * inner, 4 * inner}, 1e-4f);
  load(weights, body("k = 2 : i64"), "tensor<?x2xf32>");
  expectNear(step({1}, {0}), {5.5f * inner, 11 * inner}, 1e-3f);
}

/// Turns of 2 rows: a0 a1 b0 b1 a2 0 b2 0.
TEST_F(Eval, InterleavedConcat) {
  load("llm.weight @a : tensor<3x1xf32> [" + floats({1, 2, 3}) + "]\nllm.weight @b : tensor<3x1xf32> [" +
           floats({10, 20, 30}) + "]\nllm.weight @e : tensor<1x1xf32> [" + floats({2}) + "]",
       R"(%a = llm.get_weight @a : tensor<3x1xf32>
          %b = llm.get_weight @b : tensor<3x1xf32>
          %e = llm.get_weight @e : tensor<1x1xf32>
          %w = wq.concat %a, %b {interleave = 2 : i64} : tensor<3x1xf32>, tensor<3x1xf32> -> tensor<8x1xf32>
          %x = llm.embed %t, %e : tensor<1x1xf32> -> tensor<?x1xf32>
          %y = wq.linear %x, %w : tensor<?x1xf32>, tensor<8x1xf32> -> tensor<?x8xf32>)",
       "tensor<?x8xf32>");
  EXPECT_EQ(step({0}, {0}), (std::vector<float>{2, 4, 20, 40, 6, 0, 60, 0}));
}

TEST_F(Eval, NormAndActivations) {
  load("llm.weight @e : tensor<2x2xf32> [" + floats({3, 4, -1, 2}) + "]\n" + "llm.weight @n : tensor<2xf32> [" +
           floats({1, 2}) + "]",
       R"(%e = llm.get_weight @e : tensor<2x2xf32>
          %n = llm.get_weight @n : tensor<2xf32>
          %x = llm.embed %t, %e : tensor<2x2xf32> -> tensor<?x2xf32>
          %r = llm.rms_norm %x, %n {epsilon = 5.0e-1 : f32} : tensor<?x2xf32>, tensor<2xf32> -> tensor<?x2xf32>
          %a = llm.gated_mul %x, %r {activation = #llm.activation<relu>} : tensor<?x2xf32>
          %s = llm.glu %x {activation = #llm.activation<silu>} : tensor<?x2xf32> -> tensor<?x1xf32>
          %g = llm.glu %x {activation = #llm.activation<gelu_tanh>} : tensor<?x2xf32> -> tensor<?x1xf32>
          %h = llm.glu %x {activation = #llm.activation<gelu_erf>} : tensor<?x2xf32> -> tensor<?x1xf32>
          %y = llm.concat_columns %r, %a, %s, %g, %h : tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x1xf32>,
                 tensor<?x1xf32>, tensor<?x1xf32> -> tensor<?x7xf32>)",
       "tensor<?x7xf32>");
  float r0 = 3 / std::sqrt(13.0f), r1 = 8 / std::sqrt(13.0f);
  expectNear(step({0}, {0}), {r0, r1, 3 * r0, 4 * r1, 4 * 2.857722f, 4 * 2.996363f, 4 * 2.995950f}, 2e-5f);
  expectNear(step({1}, {0}),
             {-1 / std::sqrt(3.0f), 4 / std::sqrt(3.0f), 0, 8 / std::sqrt(3.0f), 2 * -0.268941f, 2 * -0.158808f,
              2 * -0.158655f},
             2e-5f);
}

TEST_F(Eval, LayerNormAndActivate) {
  load("llm.weight @e : tensor<1x4xf32> [" + floats({1, 3, 5, 7}) + "]\nllm.weight @n : tensor<4xf32> [" +
           floats({1, 2, 1, 1}) + "]\nllm.weight @b : tensor<4xf32> [" + floats({0, 0, 10, 0}) + "]",
       R"(%e = llm.get_weight @e : tensor<1x4xf32>
          %n = llm.get_weight @n : tensor<4xf32>
          %b = llm.get_weight @b : tensor<4xf32>
          %x = llm.embed %t, %e : tensor<1x4xf32> -> tensor<?x4xf32>
          %l = llm.layer_norm %x, %n bias %b : tensor<4xf32> {epsilon = 4.0 : f32} : tensor<?x4xf32>, tensor<4xf32> -> tensor<?x4xf32>
          %m = llm.layer_norm %x, %n {epsilon = 4.0 : f32} : tensor<?x4xf32>, tensor<4xf32> -> tensor<?x4xf32>
          %a = llm.activate %m {activation = #llm.activation<relu>} : tensor<?x4xf32> -> tensor<?x4xf32>
          %y = llm.concat_columns %l, %a : tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x8xf32>)",
       "tensor<?x8xf32>");
  // Mean 4, variance 5: the deviations -3 -1 1 3 are divided by 3.
  expectNear(step({0}, {0}), {-1, -2 / 3.0f, 10 + 1 / 3.0f, 1, 0, 0, 1 / 3.0f, 1});
}

TEST_F(Eval, RopeHalfAndInterleaved) {
  for (bool interleaved : {false, true}) {
    std::string rope =
        std::string("#llm.rope<4, ") + (interleaved ? "interleaved" : "half") + ", [1.0, 0.5], scale = 2.0>";
    file.clear();
    load("llm.weight @e : tensor<1x6xf32> [" + floats({1, 2, 3, 4, 5, 6}) + "]",
         "%e = llm.get_weight @e : tensor<1x6xf32>\n"
         "%x = llm.embed %t, %e : tensor<1x6xf32> -> tensor<?x6xf32>\n"
         "%y = llm.rope %x, %p {heads = 1 : i64, rope = " +
             rope + "} : tensor<?x6xf32>",
         "tensor<?x6xf32>");
    std::vector<float> y = step({0, 0, 0}, {0, 1, 2});
    auto pair = [](float a, float b, float angle) {
      return std::array{2 * (a * std::cos(angle) - b * std::sin(angle)),
                        2 * (b * std::cos(angle) + a * std::sin(angle))};
    };
    for (int p = 0; p < 3; ++p) {
      auto first = interleaved ? pair(1, 2, p) : pair(1, 3, p);
      auto second = interleaved ? pair(3, 4, 0.5f * p) : pair(2, 4, 0.5f * p);
      std::vector<float> expected = interleaved ? std::vector{first[0], first[1], second[0], second[1], 5.0f, 6.0f}
                                                : std::vector{first[0], second[0], first[1], second[1], 5.0f, 6.0f};
      expectNear({y.begin() + 6 * p, y.begin() + 6 * p + 6}, expected, 1e-5f);
    }
  }
}

TEST_F(Eval, DynamicRopeStartsPastItsLimit) {
  std::string rope = "#llm.rope<4, half, [1.0, 0.01], dynamic_max = 2, dynamic_base = 1.0e4, dynamic_factor = 3.0>";
  load("llm.weight @f : tensor<2xf32> [" + floats({1, 0.01f}) + "]",
       "%f = llm.get_weight @f : tensor<2xf32>\n"
       "%y = llm.rope_table %p, %f {rope = " +
           rope + "} : tensor<2xf32> -> tensor<?x4xf32>",
       "tensor<?x4xf32>");
  expectNear(step({0, 0}, {0, 1}), {1, 1, 0, 0, std::cos(1.0f), std::cos(0.01f), std::sin(1.0f), std::sin(0.01f)});
  // n = 3: base 1e4 * (3 * 3/2 - 2)^(4/2) = 62500, second frequency 62500^-0.5 = 0.004.
  expectNear(step({0}, {2}), {std::cos(2.0f), std::cos(0.008f), std::sin(2.0f), std::sin(0.008f)});
}

TEST_F(Eval, LongRopeStartsPastItsLimit) {
  std::string rope = "#llm.rope<4, half, [1.0, 0.01], dynamic_max = 2, long_inv_freq = [0.5, 0.001], long_scale = 2.0>";
  load("llm.weight @f : tensor<4xf32> [" + floats({1, 0.01f, 0.5f, 0.001f}) + "]",
       "%f = llm.get_weight @f : tensor<4xf32>\n"
       "%y = llm.rope_table %p, %f {rope = " +
           rope + "} : tensor<4xf32> -> tensor<?x4xf32>",
       "tensor<?x4xf32>");
  expectNear(step({0, 0}, {0, 1}), {1, 1, 0, 0, std::cos(1.0f), std::cos(0.01f), std::sin(1.0f), std::sin(0.01f)});
  expectNear(step({0}, {2}), {2 * std::cos(1.0f), 2 * std::cos(0.002f), 2 * std::sin(1.0f), 2 * std::sin(0.002f)});
}

TEST_F(Eval, ScaleAndSoftcap) {
  std::string table = "llm.weight @e : tensor<2x2xf32> [" + floats({1, -2, 30, 0.5f}) + "]";
  std::string embed = "%e = llm.get_weight @e : tensor<2x2xf32>\n"
                      "%x = llm.embed %t, %e : tensor<2x2xf32> -> tensor<?x2xf32>\n";
  load(table, embed + "%y = llm.scale %x {scale = 0.5 : f32} : tensor<?x2xf32>", "tensor<?x2xf32>");
  expectNear(step({0, 1}, {0, 1}), {0.5f, -1, 15, 0.25f});
  load(table, embed + "%y = llm.scale %x {scale = 2.0 : f32, softcap = 3.0 : f32} : tensor<?x2xf32>",
       "tensor<?x2xf32>");
  expectNear(step({0, 1}, {0, 1}), {3 * std::tanh(2.0f / 3), 3 * std::tanh(-4.0f / 3), 3, 3 * std::tanh(1.0f / 3)});
}

/// Runs of rows (q of each head of q, k, v), and vectors that something is added to.
TEST_F(Eval, WeightsInRunsAndPlus) {
  load("llm.weight @e : tensor<4x1xf32> [" + floats({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) +
           "] {row_begin = 1 : i64, stored_rows = 10 : i64, run = 2 : i64, run_step = 5 : i64}\n"
           "llm.weight @b : tensor<4xf16> [" +
           bytes({0x00, 0x3c, 0x00, 0x38, 0x00, 0x00, 0x00, 0xc0}) + "] {plus = 1.0 : f32}", // 1, 0.5, 0, -2
       "%e = llm.get_weight @e : tensor<4x1xf32>\n%b = llm.get_weight @b : tensor<4xf16>\n"
       "%x = llm.embed %t, %e : tensor<4x1xf32> -> tensor<?x1xf32>\n"
       "%y = llm.linear %x, %e bias %b : tensor<4xf16> : tensor<?x1xf32>, tensor<4x1xf32> -> tensor<?x4xf32>",
       "tensor<?x4xf32>");
  // Rows 1, 2, 6, 7 of what is stored.
  expectNear(step({0}, {0}), {1 + 2, 2 + 1.5f, 6 + 1, 7 - 1});
  expectNear(step({2}, {0}), {6 + 2, 12 + 1.5f, 36 + 1, 42 - 1});
}

/// Two query heads on one kv head of width 1; every token's q, k, v are columns of its embedding.
static std::string attentionBody(const std::string &attributes, const std::string &sinks = "") {
  return "%q = llm.embed %t, %qe : tensor<3x2xf32> -> tensor<?x2xf32>\n"
         "%k = llm.embed %t, %ke : tensor<3x1xf32> -> tensor<?x1xf32>\n"
         "%v = llm.embed %t, %ve : tensor<3x1xf32> -> tensor<?x1xf32>\n"
         "%y = llm.attention %q, %k, %v, %p " +
         sinks +
         "{layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 1 : i64, "
         "scale = 0.5 : f32" +
         attributes + "} : tensor<?x2xf32>, tensor<?x1xf32>, tensor<?x1xf32>";
}

TEST_F(Eval, AttentionKeepsItsCache) {
  std::string symbols = "llm.weight @q : tensor<3x2xf32> [" + floats({1, 2, 3, 4, -1, 0}) + "]\n" +
                        "llm.weight @k : tensor<3x1xf32> [" + floats({1, 2, -1}) + "]\n" +
                        "llm.weight @v : tensor<3x1xf32> [" + floats({10, 20, 40}) + "]";
  std::string get = "%qe = llm.get_weight @q : tensor<3x2xf32>\n%ke = llm.get_weight @k : tensor<3x1xf32>\n"
                    "%ve = llm.get_weight @v : tensor<3x1xf32>\n";
  auto softmax = [](std::vector<float> scores, std::vector<float> values) {
    float total = 0, sum = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      total += std::exp(scores[i] * 0.5f);
      sum += std::exp(scores[i] * 0.5f) * values[i];
    }
    return sum / total;
  };
  std::vector<float> last = {softmax({-1, -2, 1}, {10, 20, 40}), softmax({0, 0, 0}, {10, 20, 40})};
  load(symbols, get + attentionBody(""), "tensor<?x2xf32>");
  std::vector<float> all = step({0, 1, 2}, {0, 1, 2});
  expectNear(all, {10, 10, softmax({3, 6}, {10, 20}), softmax({4, 8}, {10, 20}), last[0], last[1]}, 1e-5f);
  evaluator->reset();
  step({0}, {0});
  step({1}, {1});
  expectNear(step({2}, {2}), last, 1e-5f);

  load(symbols, get + attentionBody(", window = 2 : i64"), "tensor<?x2xf32>");
  step({0, 1}, {0, 1});
  expectNear(step({2}, {2}), {softmax({-2, 1}, {20, 40}), 30}, 1e-5f);

  // Scores are doubled where softmax halves them. Two heads: slopes 1/16 and 1/256 per position.
  load(symbols, get + attentionBody(", alibi"), "tensor<?x2xf32>");
  step({0, 1}, {0, 1});
  auto biased = [&](float slope, std::vector<float> scores) {
    return softmax({scores[0] - 4 * slope, scores[1] - 2 * slope, scores[2]}, {10, 20, 40});
  };
  expectNear(step({2}, {2}), {biased(1 / 16.0f, {-1, -2, 1}), biased(1 / 256.0f, {0, 0, 0})}, 1e-5f);
  load(symbols, get + attentionBody(", softcap = 0.25 : f32"), "tensor<?x2xf32>");
  step({0, 1}, {0, 1});
  auto capped = [](float score) { return 2 * 0.25f * std::tanh(score / 2 / 0.25f); };
  expectNear(step({2}, {2}), {softmax({capped(-1), capped(-2), capped(1)}, {10, 20, 40}), 70 / 3.0f}, 1e-5f);
  // A sink is one more score, of the value 0.
  load(symbols + "\nllm.weight @s : tensor<2xf32> [" + floats({0.5f, -1}) + "]",
       get + "%s = llm.get_weight @s : tensor<2xf32>\n" + attentionBody("", "sinks %s : tensor<2xf32> "),
       "tensor<?x2xf32>");
  step({0, 1}, {0, 1});
  expectNear(step({2}, {2}), {softmax({-1, -2, 1, 1}, {10, 20, 40, 0}), softmax({0, 0, 0, -2}, {10, 20, 40, 0})},
             1e-5f);
}

TEST_F(Eval, FusedAttentionIsTheSame) {
  // q and k of two heads of 4, rotated; against the fused op on the same columns.
  std::vector<float> table(3 * 16);
  for (size_t i = 0; i < table.size(); ++i) table[i] = std::sin(float(i));
  std::string symbols = "llm.weight @e : tensor<3x16xf32> [" + floats(table) + "]\nllm.weight @f : tensor<2xf32> [" +
                        floats({1, 0.1f}) + "]\n";
  for (int part = 0; part < 3; ++part) { // one embedding table per part: q (8 columns), k, v
    std::vector<float> columns;
    int begin = part == 0 ? 0 : 4 + 4 * part, count = part == 0 ? 8 : 4;
    for (int r = 0; r < 3; ++r) columns.insert(columns.end(), &table[16 * r + begin], &table[16 * r + begin] + count);
    symbols += "llm.weight @part" + std::to_string(part) + " : tensor<3x" + std::to_string(count) + "xf32> [" +
               floats(columns) + "]\n";
  }
  std::string heads = "layer = 1 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.7 : f32";
  std::string rope = "#llm.rope<4, half, [1.0, 0.1]>";
  load(symbols,
       R"(%e = llm.get_weight @e : tensor<3x16xf32>
          %f = llm.get_weight @f : tensor<2xf32>
          %x = llm.embed %t, %e : tensor<3x16xf32> -> tensor<?x16xf32>
          %c = llm.rope_table %p, %f {rope = )" +
           rope + R"(} : tensor<2xf32> -> tensor<?x4xf32>
          %y = llm.attention_kv %x, %p table %c : tensor<?x4xf32> {)" +
           heads + ", rope = " + rope + "} : tensor<?x16xf32> -> tensor<?x8xf32>",
       "tensor<?x8xf32>");
  std::vector<float> fused = step({2, 0, 1}, {0, 1, 2});
  ASSERT_EQ(fused.size(), 24u) << error;
  load(symbols,
       R"(%qe = llm.get_weight @part0 : tensor<3x8xf32>
          %ke = llm.get_weight @part1 : tensor<3x4xf32>
          %ve = llm.get_weight @part2 : tensor<3x4xf32>
          %q0 = llm.embed %t, %qe : tensor<3x8xf32> -> tensor<?x8xf32>
          %k0 = llm.embed %t, %ke : tensor<3x4xf32> -> tensor<?x4xf32>
          %v = llm.embed %t, %ve : tensor<3x4xf32> -> tensor<?x4xf32>
          %q = llm.rope %q0, %p {heads = 2 : i64, rope = )" +
           rope + R"(} : tensor<?x8xf32>
          %k = llm.rope %k0, %p {heads = 1 : i64, rope = )" +
           rope + R"(} : tensor<?x4xf32>
          %y = llm.attention %q, %k, %v, %p {)" +
           heads + "} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>",
       "tensor<?x8xf32>");
  EXPECT_EQ(step({2, 0, 1}, {0, 1, 2}), fused);
}

TEST_F(Eval, WeightViews) {
  // Stored [k][rows] of 5 rows: element (row, k) = 10 * row + k.
  std::vector<float> transposed;
  for (int k = 0; k < 2; ++k)
    for (int row = 0; row < 5; ++row) transposed.push_back(float(10 * row + k));
  load("llm.weight @a : tensor<2x2xf32> [" + floats(transposed) +
           "] {transposed, stored_rows = 5 : i64, row_begin = 3 : i64}\n" + "llm.weight @b : tensor<8x1xf32> [" +
           floats({0, 1, 2, 3, 4, 5, 6, 7}) + "] {interleaved_heads = 2 : i64}\n" + "llm.weight @c : tensor<4xf32> [" +
           floats({9, 0, 1, 2, 3, 9}) + "] {interleaved_heads = 1 : i64, stored_rows = 6 : i64, row_begin = 1 : i64}",
       R"(%a = llm.get_weight @a : tensor<2x2xf32>
          %b = llm.get_weight @b : tensor<8x1xf32>
          %c = llm.get_weight @c : tensor<4xf32>
          %ae = llm.embed %t, %a : tensor<2x2xf32> -> tensor<?x2xf32>
          %be = llm.embed %t, %b : tensor<8x1xf32> -> tensor<?x1xf32>
          %z = llm.linear %ae, %a : tensor<?x2xf32>, tensor<2x2xf32> -> tensor<?x2xf32>
          %y = llm.concat_columns %ae, %be : tensor<?x2xf32>, tensor<?x1xf32> -> tensor<?x3xf32>)",
       "tensor<?x3xf32>");
  EXPECT_EQ(step({0, 1}, {0, 1}), (std::vector<float>{30, 31, 0, 40, 41, 2}));
  auto view = [&](const char *name) {
    llm::InputFile input = {"weights", file};
    auto made = llm::WeightView::create(module->lookupSymbol<llm::WeightOp>(name), input);
    std::vector<float> rows(made->rows() * made->k());
    made->readRows(0, made->rows(), rows.data());
    return rows;
  };
  EXPECT_EQ(view("b"), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(view("c"), (std::vector<float>{0, 2, 1, 3}));
}

TEST_F(Eval, PackedWeightsAreWhatTheProgramStores) {
  std::vector<float> w(4 * 32);
  for (size_t i = 0; i < w.size(); ++i) w[i] = float(i % 13) - 6;
  load("llm.weight @a : tensor<2x32xf32> [" + floats({w.begin(), w.begin() + 64}) + "]\n" +
           "llm.weight @b : tensor<2x32xf32> [" + floats({w.begin() + 64, w.end()}) + "]\n" + R"(
         llm.weight @e : tensor<1x32xf32> [)" +
           floats(std::vector<float>(32, 0.5f)) + R"(]
         wq.packed @ab : tensor<4x32x!wq.packed<<kind = i8, group = 32>>> at 0 size 2176
         wq.packed @bias : tensor<4x!wq.packed<<kind = f32>>> at 4096 size 256
         func.func @pack() {
           %a = llm.get_weight @a : tensor<2x32xf32>
           %b = llm.get_weight @b : tensor<2x32xf32>
           %c = wq.concat %a, %b : tensor<2x32xf32>, tensor<2x32xf32> -> tensor<4x32xf32>
           %q = wq.quantize %c : tensor<4x32xf32> -> tensor<4x32x!wq.quant<<kind = i8, group = 32>>>
           %k = wq.pack %q : tensor<4x32x!wq.quant<<kind = i8, group = 32>>>
                  -> tensor<4x32x!wq.packed<<kind = i8, group = 32>>>
           wq.store %k, @ab : tensor<4x32x!wq.packed<<kind = i8, group = 32>>>
           %d = wq.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> -> tensor<4xf32>
           %p = wq.pack %d : tensor<4xf32> -> tensor<4x!wq.packed<<kind = f32>>>
           wq.store %p, @bias : tensor<4x!wq.packed<<kind = f32>>>
           return
         })",
       R"(%e = llm.get_weight @e : tensor<1x32xf32>
          %x = llm.embed %t, %e : tensor<1x32xf32> -> tensor<?x32xf32>
          %w = wq.get_packed @ab : tensor<4x32x!wq.packed<<kind = i8, group = 32>>>
          %b = wq.get_packed @bias : tensor<4x!wq.packed<<kind = f32>>>
          %q = wq.quantize_rows %x : tensor<?x32xf32> -> tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
          %r = wq.linear %x, %w : tensor<?x32xf32>, tensor<4x32x!wq.packed<<kind = i8, group = 32>>> -> tensor<?x4xf32>
          %y = wq.linear %q, %w bias %b : tensor<4x!wq.packed<<kind = f32>>> residual %r : tensor<?x4xf32>
                 : tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>, tensor<4x32x!wq.packed<<kind = i8, group = 32>>> -> tensor<?x4xf32>)",
       "tensor<?x4xf32>");
  std::vector<float> expected;
  for (int n = 0; n < 4; ++n) {
    float sum = 0, scale = 6.0f / 127; // about, as f16
    for (int k = 0; k < 32; ++k) sum += std::nearbyint(w[32 * n + k] / scale) * scale;
    expected.push_back(2 * 0.5f * sum + n + 1);
  }
  expectNear(step({0}, {0}), expected, 2e-2f);
}

TEST_F(Eval, Q8RowsRoundPerBlock) {
  llm::eval::Tensor x(1, 40);
  for (int i = 0; i < 40; ++i) x.data[i] = i < 32 ? float(i) : 0.0f;
  x.data[39] = 0.254f;
  x.data[38] = 0.0011f;
  auto q8 = [&](int64_t block) { return wq::RowFormatAttr::get(&context, wq::RowKind::Q8, block); };
  llm::eval::Tensor y = llm::eval::roundRows(x, q8(32));
  for (int i = 0; i < 32; ++i) EXPECT_NEAR(y.data[i], std::nearbyint(i * 127 / 31.0f) * 31 / 127, 1e-5f);
  EXPECT_FLOAT_EQ(y.data[39], 0.254f);
  EXPECT_FLOAT_EQ(y.data[38], 0.002f);
  EXPECT_EQ(y.data[33], 0);
  EXPECT_EQ(llm::eval::roundRows(x, q8(64)).data[39], 31.0f / 127); // in one block with 31
}

TEST_F(Eval, GluLinearTakesTurnsOf32) {
  llm::eval::Tensor x(1, 128);
  for (int c = 0; c < 128; ++c) x.data[c] = float(c % 64 < 32 ? c : 2); // gates 0..31 and 64..95; ups are 2
  llm::eval::Tensor y = llm::eval::gluInTurns(x, llm::Activation::Relu);
  ASSERT_EQ(y.columns, 64);
  for (int c = 0; c < 64; ++c) EXPECT_EQ(y.data[c], 2 * float(c < 32 ? c : c + 32));
}

TEST_F(Eval, SixteenBitRowsRoundToNearestEven) {
  llm::eval::Tensor x(1, 3);
  x.data = {1.00390625f, 1.01171875f, 1.0009765625f * 1.00048828125f}; // 1 + 2^-8, 1 + 3 * 2^-8, about 1 + 1.5 * 2^-10
  auto rounded = [&](wq::RowKind kind) { return llm::eval::roundRows(x, wq::RowFormatAttr::get(&context, kind)).data; };
  EXPECT_EQ(rounded(wq::RowKind::BF16), (std::vector<float>{1.0f, 1.015625f, 1.0f}));
  EXPECT_EQ(rounded(wq::RowKind::BF16Pair)[0], x.data[0]);
  EXPECT_NEAR(rounded(wq::RowKind::BF16Pair)[2], x.data[2], 0x1p-17f);
  EXPECT_EQ(rounded(wq::RowKind::F16)[0], x.data[0]);
  EXPECT_EQ(rounded(wq::RowKind::F16)[2], 1.001953125f); // just above the middle
}

TEST_F(Eval, SaysWhatIsWrongWithAFile) {
  load("llm.weight @e : tensor<3x2xf32> [#llm.storage<0, 8, 24>]",
       "%e = llm.get_weight @e : tensor<3x2xf32>\n%y = llm.embed %t, %e : tensor<3x2xf32> -> tensor<?x2xf32>",
       "tensor<?x2xf32>");
  step({0}, {0});
  EXPECT_EQ(error, "weights: e: found 0 bytes, expected 24 bytes at 8; the file is truncated");
}

} // namespace
