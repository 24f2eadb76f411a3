// Distribution, truncation, ties, determinism and bad input of the sampler.
#include "Hooks.h"
#include "llmc.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

namespace {

struct Sampler {
  llmc_sampler *sampler = nullptr;
  llmc_error error = {};
  Sampler(int64_t vocab, llmc_sampler_options options) { llmc_sampler_create(&sampler, vocab, &options, &error); }
  ~Sampler() { llmc_sampler_free(sampler); }
  int32_t operator()(const std::vector<float> &logits) { return llmc_sample(sampler, logits.data()); }
};

/// Probabilities after temperature, top-k and top-p, by sorting.
std::vector<double> expected(const std::vector<float> &logits, const llmc_sampler_options &o) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  if (o.top_k && size_t(o.top_k) < order.size()) order.resize(o.top_k);
  std::vector<double> p(logits.size());
  double total = 0, kept = 0;
  for (size_t i : order) total += p[i] = std::exp((double(logits[i]) - logits[order[0]]) / o.temperature);
  for (size_t i : order) {
    if (o.top_p > 0 && kept >= o.top_p * total) p[i] = 0;
    kept += p[i];
  }
  double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double &x : p) x /= sum;
  return p;
}

TEST(Sampler, distribution) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(40);
  for (float &x : logits) x = normal(random);
  logits[7] = logits[9]; // a tie
  logits[3] = -INFINITY, logits[4] = NAN;
  std::vector<float> clean = logits;
  clean[4] = -INFINITY;
  for (llmc_sampler_options o : {llmc_sampler_options{1, 0, 0, 5},
                                 {0.7f, 0, 0, 6},
                                 {1.5f, 0.9f, 0, 7},
                                 {1, 0.5f, 0, 8},
                                 {1, 0, 5, 9},
                                 {2, 0.8f, 10, 10},
                                 {1, 1, 1000, 11},
                                 {3, 0.01f, 0, 12}}) {
    std::vector<double> p = expected(clean, o);
    std::vector<int> counts(logits.size());
    Sampler sample(40, o);
    constexpr int kDraws = 100000;
    for (int i = 0; i < kDraws; ++i) {
      int32_t id = sample(logits);
      ASSERT_GE(id, 0);
      ++counts[id];
    }
    double chi2 = 0;
    int cells = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      EXPECT_TRUE(p[i] > 0 || counts[i] == 0) << i;
      if (p[i] * kDraws < 5) continue;
      chi2 += std::pow(counts[i] - p[i] * kDraws, 2) / (p[i] * kDraws), ++cells;
    }
    // mean cells-1, standard deviation sqrt(2(cells-1)); five of them, and the seeds are fixed
    EXPECT_LT(chi2, cells - 1 + 5 * std::sqrt(2.0 * cells)) << o.temperature << " " << o.top_p << " " << o.top_k;
  }
}

/// Candidates in order, what llmc_best gives.
std::vector<llmc_candidate> sorted(const std::vector<float> &logits, size_t count) {
  std::vector<llmc_candidate> list;
  for (size_t i = 0; i < logits.size(); ++i)
    if (logits[i] > -INFINITY) list.push_back({logits[i], int32_t(i)});
  std::stable_sort(list.begin(), list.end(), [](auto a, auto b) { return a.logit > b.logit; });
  list.resize(std::min(list.size(), count));
  return list;
}

TEST(Sampler, theBestTokensAreEnough) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 2);
  for (llmc_sampler_options o : {llmc_sampler_options{0, 0, 0, 1},
                                 {0, 0.5f, 7, 1},
                                 {1, 0, 1, 2},
                                 {0.7f, 0.9f, 40, 3},
                                 {3, 0, LLMC_MOST_BEST, 4}}) {
    Sampler all(500, o), few(500, o), more(500, o);
    int64_t needed = llmc_sampler_best(few.sampler);
    EXPECT_EQ(needed, o.temperature == 0 ? 1 : o.top_k);
    for (int i = 0; i < 200; ++i) {
      std::vector<float> logits(500);
      for (float &x : logits) x = std::round(normal(random) * 4) / 4; // many ties
      logits[11] = NAN;
      if (i % 50 == 0) logits[400] = INFINITY;
      int32_t token = all(logits);
      std::vector<llmc_candidate> list = sorted(logits, needed), longer = sorted(logits, 64);
      EXPECT_EQ(llmc_sample_best(few.sampler, list.data(), int64_t(list.size())), token);
      EXPECT_EQ(llmc_sample_best(more.sampler, longer.data(), int64_t(longer.size())), token);
    }
  }
  Sampler nucleus(500, {.temperature = 1, .top_p = 0.9f}), wide(500, {.temperature = 1, .top_k = LLMC_MOST_BEST + 1});
  llmc_candidate one = {1, 3};
  for (llmc_sampler *sampler : {nucleus.sampler, wide.sampler}) {
    EXPECT_EQ(llmc_sampler_best(sampler), 0);
    EXPECT_EQ(llmc_sample_best(sampler, &one, 1), -1);
  }
  Sampler greedy(500, {});
  EXPECT_EQ(llmc_sample_best(greedy.sampler, &one, 0), -1);
}

TEST(Sampler, greedyTakesTheLowestOfEqualIds) {
  Sampler sample(5, {});
  EXPECT_EQ(sample({1, 3, 2, 3, 0}), 1);
  EXPECT_EQ(sample({NAN, -INFINITY, -5, NAN, -5}), 2);
  EXPECT_EQ(sample({NAN, NAN, NAN, -INFINITY, NAN}), -1);
  Sampler topOne(5, {.temperature = 1, .top_k = 1});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(topOne({1, 3, 2, 3, 0}), 1);
}

TEST(Sampler, extremes) {
  Sampler hot(3, {.temperature = 1e30f}), cold(3, {.temperature = 1e-30f});
  EXPECT_EQ(cold({1, 2, 1.99f}), 1);
  std::vector<int> seen(3);
  for (int i = 0; i < 100; ++i) ++seen[hot({-1e30f, 0, 3e4f})];
  EXPECT_GT(seen[2], 20);
  EXPECT_EQ(hot({0, INFINITY, 0}), 1);
  Sampler nucleus(3, {.temperature = 1, .top_p = 1e-6f});
  EXPECT_EQ(nucleus({0, 0.1f, 0}), 1);
}

TEST(Sampler, seedDecides) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = float(i % 17) * 0.3f;
  auto tokens = [&](uint64_t seed) {
    Sampler sample(1000, {.temperature = 1, .top_p = 0.95f, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sample(logits));
    return ids;
  };
  EXPECT_EQ(tokens(1), tokens(1));
  EXPECT_NE(tokens(1), tokens(2));
  // A change of these is a change of every user's output.
  std::vector<int32_t> first = tokens(0);
  first.resize(4);
  EXPECT_EQ(first, (std::vector<int32_t>{594, 745, 101, 419}));
}

TEST(Sampler, optionsAreChecked) {
  const struct {
    int64_t vocab;
    llmc_sampler_options options;
    const char *message;
  } cases[] = {{0, {}, "vocab: found 0, expected 1..2147483647"},
               {5, {.temperature = -1}, "temperature: found -1, expected 0 or more"},
               {5, {.temperature = NAN}, "temperature: found nan, expected 0 or more"},
               {5, {.top_p = 1.5f}, "top_p: found 1.5, expected 0..1"},
               {5, {.top_k = -2}, "top_k: found -2, expected 0 or more"}};
  for (const auto &c : cases) {
    Sampler sampler(c.vocab, c.options);
    EXPECT_EQ(sampler.sampler, nullptr);
    EXPECT_STREQ(sampler.error.message, c.message);
  }
}

/// Not a limit, a number to look at; and nothing is allocated.
TEST(Sampler, costOfALargeVocabulary) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(128256);
  for (float &x : logits) x = normal(random);
  for (llmc_sampler_options o :
       {llmc_sampler_options{0, 0, 0, 1}, {1, 0, 0, 1}, {0.8f, 0.95f, 0, 1}, {0.8f, 0.95f, 40, 1}}) {
    Sampler sample(int64_t(logits.size()), o);
    int64_t live = llmc::test::liveAllocations;
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) ASSERT_GE(sample(logits), 0);
    std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(llmc::test::liveAllocations, live);
    printf("temperature %g top_p %g top_k %d: %.0f us a token\n", o.temperature, o.top_p, int(o.top_k),
           time.count() / 20);
  }
}

} // namespace
