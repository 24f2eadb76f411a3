// The steps of a mixture of experts around its matmuls: which experts, in which order, gathered and scattered.
#include "codegen/kernels/rowwise/Reference.h"
#include "test/codegen/PortableFixtures.h"
#include <map>

namespace llmc::test {
namespace {

struct Shape {
  int64_t rows, experts, k;
};
constexpr Shape kShapes[] = {{1, 1, 1}, {1, 4, 1}, {1, 8, 2}, {7, 3, 3}, {33, 60, 4}, {5, 128, 8}, {2, 1000, 40}};

RowwiseDesc chooseDesc(const Shape &s) {
  RowwiseDesc d;
  d.op = RowwiseOp::MoeChoose, d.columns = s.experts, d.k = s.k;
  d.xStride = rowStride(RowFormat::F32, s.experts), d.yStride = moeChoiceBytes(s.k);
  return d;
}

/// Runs a descriptor by the portable kernel of each target (or by the reference), compiled once.
class Runner {
public:
  explicit Runner(const Target *target) : target(target) {}
  void operator()(const RowwiseDesc &d, const llmc_rowwise_args &args) {
    if (!target) return referenceRowwise(d, args);
    std::string key(reinterpret_cast<const char *>(&d), sizeof d);
    auto &kernel = kernels[key];
    if (!kernel) kernel = compilePortable(kPortableRowwise, d, *target);
    ASSERT_TRUE(kernel);
    kernel->function(&args);
  }
  const Target *target;

private:
  std::map<std::string, std::unique_ptr<Executable>> kernels;
};

void forEachRunner(llvm::function_ref<void(Runner &)> body) {
  Runner reference(nullptr);
  {
    SCOPED_TRACE("reference");
    body(reference);
  }
  for (const Target &target : runnableTargets()) {
    SCOPED_TRACE(target.name);
    Runner runner(&target);
    body(runner);
  }
}

struct Choice {
  std::vector<int32_t> experts;
  std::vector<float> weights;
};
Choice choiceOf(const GuardedBuffer &choices, int64_t row, int64_t k) {
  const char *at = choices.as<char>() + row * moeChoiceBytes(k);
  auto *experts = reinterpret_cast<const int32_t *>(at);
  auto *weights = reinterpret_cast<const float *>(experts + k);
  return {{experts, experts + k}, {weights, weights + k}};
}

/// Rows of logits and what a router is to make of them, worked out another way than the reference does.
Choice expectedChoice(const RowwiseDesc &d, const float *logits) {
  std::vector<std::pair<double, int32_t>> keys; // the largest first, then the lowest index
  std::vector<double> scores;
  double all = 0;
  for (int64_t e = 0; e < d.columns; ++e) {
    scores.push_back(std::exp(double(logits[e])));
    all += scores.back();
    keys.emplace_back(-logits[e], int32_t(e));
  }
  std::sort(keys.begin(), keys.end());
  Choice c;
  for (int64_t j = 0; j < d.k; ++j) c.experts.push_back(keys[j].second);
  std::sort(c.experts.begin(), c.experts.end());
  double chosen = 0;
  for (int32_t e : c.experts) chosen += scores[e];
  for (int32_t e : c.experts) {
    double weight = scores[e] / (d.renormalise ? chosen : all);
    c.weights.push_back(float(weight * d.scale));
  }
  return c;
}

TEST(MoeChoose, ExpertsAndWeights) {
  forEachRunner([&](Runner &run) {
    for (const Shape &s : kShapes)
      for (auto [renormalise, ascending] : {std::pair(false, false), {true, false}, {false, true}}) {
        RowwiseDesc d = chooseDesc(s);
        d.renormalise = renormalise, d.scale = renormalise ? 2.5f : 1.0f;
        GuardedBuffer logits(s.rows * d.xStride), y(s.rows * d.yStride);
        auto *values = logits.as<float>();
        int64_t count = int64_t(logits.size / 4);
        Random random(uint32_t(s.experts));
        random.fill(values, count, 3);
        // Each is the largest so far, but for ties and where it starts again: all that a scan can find.
        for (int64_t i = 0; ascending && i < count; ++i) values[i] = float(i % 977 / 3) / 100;
        logits.makeReadOnly();
        for (int64_t r = s.rows; r-- > 0;) run(d, {.begin = r, .end = r + 1, .x = logits.as(), .y = y.as()});
        for (int64_t r = 0; r < s.rows; ++r) {
          const auto *row = reinterpret_cast<const float *>(logits.as<char>() + r * d.xStride);
          Choice expected = expectedChoice(d, row), found = choiceOf(y, r, s.k);
          ASSERT_EQ(found.experts, expected.experts) << "row " << r;
          for (int64_t j = 0; j < s.k; ++j) EXPECT_NEAR(found.weights[j], expected.weights[j], 2e-6) << j;
        }
      }
  });
}

/// Equal logits: the first experts. Logits that are not numbers spoil weights, but every index is one of an expert.
TEST(MoeChoose, TiesAndNaN) {
  forEachRunner([&](Runner &run) {
    RowwiseDesc d = chooseDesc({1, 8, 3});
    GuardedBuffer logits(d.xStride), y(d.yStride);
    auto choose = [&](std::vector<float> values) {
      std::copy(values.begin(), values.end(), logits.as<float>());
      run(d, {.begin = 0, .end = 1, .x = logits.as(), .y = y.as()});
      return choiceOf(y, 0, 3);
    };
    EXPECT_EQ(choose({1, 2, 2, 1, 2, 2, 0, 0}).experts, (std::vector<int32_t>{1, 2, 4}));
    EXPECT_EQ(choose({5, 5, 5, 5, 5, 5, 5, 5}).experts, (std::vector<int32_t>{0, 1, 2}));
    EXPECT_EQ(choose({-INFINITY, 0, -INFINITY, 1, -INFINITY, 2, 3, -INFINITY}).weights[0] > 0, true);
    EXPECT_EQ(choose({NAN, NAN, NAN, NAN, NAN, NAN, NAN, 1}).experts, (std::vector<int32_t>{0, 1, 7}));
    EXPECT_EQ(choose({NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN}).experts, (std::vector<int32_t>{0, 1, 2}));
    EXPECT_TRUE(std::isnan(choose({NAN, 1, 2, 3, 4, 5, 6, 7}).weights[0])); // of the sum of all
  });
}

/// Choices of random experts, as MoeChoose leaves them.
void fillChoices(const Shape &s, const GuardedBuffer &choices) {
  Random random(uint32_t(s.experts + 1));
  for (int64_t r = 0; r < s.rows; ++r) {
    std::vector<int32_t> order(s.experts);
    for (int64_t e = 0; e < s.experts; ++e) order[e] = int32_t(e);
    for (int64_t j = 0; j < s.k; ++j) std::swap(order[j], order[j + random.below(s.experts - j)]);
    std::sort(order.begin(), order.begin() + s.k);
    char *row = choices.as<char>() + r * moeChoiceBytes(s.k);
    memcpy(row, order.data(), s.k * 4);
    random.fill(reinterpret_cast<float *>(row) + s.k, s.k);
  }
}

class Plan {
public:
  Plan(const Shape &s, Runner &run)
      : s(s), choices(s.rows * moeChoiceBytes(s.k)), plan(s.rows * moePlanBytes(s.experts, s.k)) {
    fillChoices(s, choices);
    choices.makeReadOnly();
    batch.rows = s.rows;
    RowwiseDesc d;
    d.op = RowwiseOp::MoeSort, d.columns = s.experts, d.k = s.k, d.xStride = moeChoiceBytes(s.k);
    d.yStride = moePlanBytes(s.experts, s.k);
    run(d, {.begin = 0, .end = 1, .batch = &batch, .x = choices.as(), .y = plan.as()});
  }
  const int32_t *first() const { return plan.as<int32_t>(); }
  const int32_t *rowOf() const { return reinterpret_cast<int32_t *>(plan.as<char>() + moePlanRows(s.experts)); }
  const int32_t *places() const { return rowOf() + s.rows * s.k; }

  Shape s;
  GuardedBuffer choices, plan;
  llmc_batch batch = {};
};

TEST(MoeSort, RowsByExpertInTheirOrder) {
  forEachRunner([&](Runner &run) {
    for (const Shape &s : kShapes) {
      Plan plan(s, run);
      ASSERT_EQ(plan.first()[0], 0);
      ASSERT_EQ(plan.first()[s.experts], s.rows * s.k);
      for (int64_t e = 0; e < s.experts; ++e)
        for (int32_t place = plan.first()[e]; place < plan.first()[e + 1]; ++place) {
          int32_t row = plan.rowOf()[place];
          if (place > plan.first()[e]) { ASSERT_GT(row, plan.rowOf()[place - 1]); }
          std::vector<int32_t> experts = choiceOf(plan.choices, row, s.k).experts;
          auto j = std::find(experts.begin(), experts.end(), e);
          ASSERT_NE(j, experts.end());
          ASSERT_EQ(plan.places()[row * s.k + (j - experts.begin())], place);
        }
    }
  });
}

TEST(MoeGather, CopiesRowsOfEveryFormat) {
  forEachRunner([&](Runner &run) {
    for (const Shape &s : kShapes)
      for (RowFormat format : {RowFormat::F32, RowFormat::Q8, RowFormat::q8(128)}) {
        RowwiseDesc d;
        d.op = RowwiseOp::MoeGather, d.columns = 64, d.k = s.k, d.experts = s.experts, d.out = format;
        d.xStride = d.yStride = rowStride(format, 64);
        Plan plan(s, run);
        GuardedBuffer x(s.rows * d.xStride), y(s.rows * s.k * d.yStride);
        for (size_t i = 0; i < x.size; ++i) x.as<uint8_t>()[i] = uint8_t(i * 7 + i / 256);
        x.makeReadOnly();
        for (int64_t place = s.rows * s.k; place-- > 0;)
          run(d,
              {.begin = place, .end = place + 1, .batch = &plan.batch, .x = x.as(), .w = plan.plan.as(), .y = y.as()});
        for (int64_t place = 0; place < s.rows * s.k; ++place)
          ASSERT_EQ(memcmp(y.as<char>() + place * d.yStride, x.as<char>() + plan.rowOf()[place] * d.xStride,
                           rowBytes(format, 64)),
                    0)
              << place;
      }
  });
}

TEST(MoeScatter, WeightedSumsInTheOrderOfExperts) {
  forEachRunner([&](Runner &run) {
    for (const Shape &s : kShapes)
      for (auto [columns, parts] : {std::pair(64, 1), {200, 1}, {200, 3}, {576, 4}, {64, 5}})
        for (bool accumulate : {false, true}) {
          RowwiseDesc d;
          d.op = RowwiseOp::MoeScatter, d.columns = columns, d.k = s.k, d.experts = s.experts, d.parts = parts;
          d.accumulate = accumulate;
          d.xStride = d.yStride = rowStride(RowFormat::F32, roundUp(columns, kPanel));
          Plan plan(s, run);
          GuardedBuffer x(s.rows * s.k * d.xStride), y(s.rows * d.yStride);
          Random random(3);
          random.fill(x.as<float>(), int64_t(x.size / 4)), random.fill(y.as<float>(), int64_t(y.size / 4));
          x.makeReadOnly();
          std::vector<float> before(y.as<float>(), y.as<float>() + y.size / 4);
          for (int64_t unit = s.rows * parts; unit-- > 0;)
            run(d, {.begin = unit,
                    .end = unit + 1,
                    .batch = &plan.batch,
                    .x = x.as(),
                    .w = plan.choices.as(),
                    .y = y.as(),
                    .b = plan.plan.as()});
          bool fused = !run.target || run.target->features.has(Feature::Fma);
          for (int64_t r = 0; r < s.rows; ++r)
            for (int64_t c = 0; c < columns; ++c) {
              float sum = 0;
              Choice choice = choiceOf(plan.choices, r, s.k);
              for (int64_t j = 0; j < s.k; ++j) {
                float value = x.as<float>()[plan.places()[r * s.k + j] * d.xStride / 4 + c];
                sum = fused ? std::fma(choice.weights[j], value, sum) : choice.weights[j] * value + sum;
              }
              float old = before[r * d.yStride / 4 + c];
              ASSERT_EQ(y.as<float>()[r * d.yStride / 4 + c], accumulate ? old + sum : sum) << r << " " << c;
            }
        }
  });
}

TEST(Moe, Refusals) {
  Target target = llvm::cantFail(findTarget("x86-64-v3"));
  RowwiseDesc d = chooseDesc({1, 4, 5});
  EXPECT_EQ(refusal(kPortableRowwise, d, target), "found 5 of 4 experts for a row, expected 1 or more of at most 4096");
  d = chooseDesc({1, 8000, 1});
  EXPECT_EQ(refusal(kPortableRowwise, d, target),
            "found 1 of 8000 experts for a row, expected 1 or more of at most 4096");
  d = chooseDesc({1, 8, 2});
  d.yStride = 128;
  EXPECT_EQ(refusal(kPortableRowwise, d, target), "found choices 128 bytes apart, expected 64");
  d.yStride = 64, d.out = RowFormat::Q8;
  EXPECT_EQ(refusal(kPortableRowwise, d, target), "found q8b32 output, expected f32");
}

} // namespace
} // namespace llmc::test
