// The split of a matmul call: each output exactly once, whatever the shape, the mode and the number of threads.
#include "runtime/internal.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

namespace {

constexpr int64_t kMostPanels = 40, kXStride = 64, kYStride = kMostPanels * 4;

/// Adds 1 + (what x[row] holds: its row) to y[row][panel]: the right row of x must meet the right row of y, once.
void countingKernel(const void *argument) {
  auto *args = static_cast<const llmc_matmul_args *>(argument);
  ASSERT_LT(args->begin, args->end);
  ASSERT_GE(args->rows, 1);
  for (int64_t r = 0; r < args->rows; ++r)
    for (int64_t p = args->begin; p < args->end; ++p) {
      auto *x = reinterpret_cast<const int32_t *>(static_cast<const char *>(args->x) + r * kXStride);
      auto *y = reinterpret_cast<float *>(reinterpret_cast<char *>(args->y) + r * kYStride);
      y[p] += float(1 + *x);
    }
}

struct Case {
  int64_t rows, panels, threads, mode;
};

std::vector<float> runCase(const Case &c, bool reversed) {
  std::vector<int32_t> x(c.rows * kXStride / 4);
  std::vector<float> y(c.rows * kMostPanels);
  for (int64_t r = 0; r < c.rows; ++r) x[r * kXStride / 4] = int32_t(r);
  alignas(64) char claimed[64] = {};
  llmc_panels work = {};
  work.args.rows = c.rows, work.args.x = x.data(), work.args.y = y.data();
  work.kernel = countingKernel, work.panels = c.panels, work.panel_bytes = 30000;
  work.x_stride = kXStride, work.y_stride = kYStride, work.claimed = claimed;
  for (int64_t i = 0; i < c.threads; ++i) llmc_step_panels(&work, c.mode, reversed ? c.threads - 1 - i : i, c.threads);
  return y;
}

void expectEachOnce(const Case &c, bool reversed) {
  std::vector<float> y = runCase(c, reversed);
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t p = 0; p < kMostPanels; ++p)
      ASSERT_EQ(y[r * kMostPanels + p], p < c.panels ? float(r + 1) : 0)
          << "mode " << c.mode << ", " << c.threads << " threads, " << c.rows << " x " << c.panels;
}

TEST(Split, coversEachRowAndPanelOnce) {
  for (int64_t mode : {LLMC_MODE_FEW, LLMC_MODE_TILES, LLMC_MODE_ROWS})
    for (int64_t threads : {1, 2, 3, 7, 16})
      for (int64_t panels : {1, 2, 9, 15, int(kMostPanels)})
        for (int64_t rows : {0, 1, 2, 6, 7, 16, 33, 300})
          for (bool reversed : {false, true}) expectEachOnce({rows, panels, threads, mode}, reversed);
}

/// y[row][column] of any panels: some ties, a NaN, an infinity of either sign.
float logit(int64_t row, int64_t column) {
  if (column == 100) return NAN;
  if (column == 101) return -INFINITY;
  return float((column * 7919 + row * 31) % 97);
}
void logitKernel(const void *argument) {
  auto *args = static_cast<const llmc_matmul_args *>(argument);
  for (int64_t r = 0; r < args->rows; ++r) {
    int64_t row = *reinterpret_cast<const int32_t *>(static_cast<const char *>(args->x) + r * kXStride);
    float *y = reinterpret_cast<float *>(reinterpret_cast<char *>(args->y) + r * kMostPanels * 256);
    for (int64_t c = args->begin * 64; c < args->end * 64; ++c) y[c] = logit(row, c);
  }
}

TEST(Split, listsTheBest) {
  for (int64_t mode : {LLMC_MODE_FEW, LLMC_MODE_TILES})
    for (int64_t threads : {1, 2, 3, 16})
      for (int64_t rows : {1, 5, 33})
        for (int64_t count : {1, 8, 64})
          for (int64_t vocab : {int64_t(63), kMostPanels * 64 - 5}) {
            std::vector<int32_t> x(rows * kXStride / 4);
            for (int64_t r = 0; r < rows; ++r) x[r * kXStride / 4] = int32_t(r);
            std::vector<float> y(rows * kMostPanels * 64);
            std::vector<llmc_candidate> lists(threads * rows * count);
            llmcBest best = {count, rows, vocab, lists.data()};
            llmcBestClear(&best, threads);
            alignas(64) char claimed[64] = {};
            llmc_panels work = {};
            work.args.rows = rows, work.args.x = x.data(), work.args.y = y.data();
            work.kernel = logitKernel, work.panels = (vocab + 63) / 64, work.panel_bytes = 30000;
            work.x_stride = kXStride, work.y_stride = kMostPanels * 256, work.claimed = claimed, work.best = &best;
            for (int64_t i = 0; i < threads; ++i) llmc_step_panels(&work, mode, threads - 1 - i, threads);
            llmcBestMerge(&best, threads);
            for (int64_t r = 0; r < rows; ++r) {
              std::vector<llmc_candidate> expected;
              for (int64_t c = 0; c < vocab; ++c)
                if (logit(r, c) > -INFINITY) expected.push_back({logit(r, c), int32_t(c)});
              std::stable_sort(expected.begin(), expected.end(), [](auto a, auto b) { return a.logit > b.logit; });
              int64_t listed;
              const llmc_candidate *got = llmcBestRow(&best, r, &listed);
              ASSERT_EQ(listed, std::min(count, int64_t(expected.size())));
              for (int64_t i = 0; i < listed; ++i) {
                ASSERT_EQ(got[i].token, expected[i].token);
                ASSERT_EQ(got[i].logit, expected[i].logit);
              }
            }
          }
}

constexpr int64_t kMediumRows = 23, kWideStride = 16384; // of rows of which few stay in L2

int rowClass(int64_t rows) { return rows == 1 ? 1 : rows <= LLMC_FEW_ROWS ? 2 : rows <= kMediumRows ? 3 : 4; }

/// As countingKernel, but adds the expert, which its weight begins with, to each panel's column. `mark` says which
/// kernel ran; the weight has what should have.
template <int mark> void expertKernel(const void *argument) {
  auto *args = static_cast<const llmc_matmul_args *>(argument);
  auto *weight = static_cast<const char *>(args->w);
  ASSERT_LT(args->begin, args->end);
  ASSERT_GE(args->rows, 1);
  ASSERT_EQ(mark, weight[1]);
  for (int64_t r = 0; r < args->rows; ++r)
    for (int64_t p = args->begin; p < args->end; ++p) {
      auto *x = reinterpret_cast<const int32_t *>(static_cast<const char *>(args->x) + r * kWideStride);
      auto *y = reinterpret_cast<float *>(reinterpret_cast<char *>(args->y) + r * kYStride);
      y[p] += float(1 + *x) + 1000 * weight[0];
    }
}

/// Rows of each expert; panels of one expert. Weights of experts without rows are not there to be read.
void expectExpertsOnce(const std::vector<int32_t> &counts, int64_t panels, int64_t threads, bool reversed) {
  constexpr int64_t kPanelBytes = 64;
  std::vector<int32_t> first = {0};
  for (int32_t count : counts) first.push_back(first.back() + count);
  int64_t rows = first.back();
  std::vector<int32_t> x(rows * kWideStride / 4 + 1);
  std::vector<float> y(rows * kMostPanels + 1);
  std::vector<char> w(counts.size() * panels * kPanelBytes, char(127));
  for (int64_t r = 0; r < rows; ++r) x[r * kWideStride / 4] = int32_t(r);
  for (size_t e = 0; e < counts.size(); ++e)
    if (char *weight = &w[e * panels * kPanelBytes]; counts[e])
      weight[0] = char(e), weight[1] = char(rowClass(counts[e]));
  alignas(64) char claimed[64] = {};
  llmc_experts work = {};
  work.args.x = x.data(), work.args.y = y.data(), work.args.w = w.data();
  work.first = first.data(), work.experts = int64_t(counts.size()), work.panels = panels;
  work.panel_bytes = kPanelBytes, work.x_stride = kWideStride, work.y_stride = kYStride, work.claimed = claimed;
  llmc_kernel_fn kernels[] = {expertKernel<1>, expertKernel<2>, expertKernel<3>, expertKernel<4>};
  int64_t most[] = {1, LLMC_FEW_ROWS, kMediumRows, INT64_MAX};
  for (int i = 0; i < LLMC_ROW_CLASSES; ++i) work.kernels[i] = kernels[i], work.most_rows[i] = most[i];
  for (int64_t i = 0; i < threads; ++i) llmc_step_experts(&work, reversed ? threads - 1 - i : i, threads);
  for (size_t e = 0; e < counts.size(); ++e)
    for (int64_t r = first[e]; r < first[e + 1]; ++r)
      for (int64_t p = 0; p < kMostPanels; ++p)
        ASSERT_EQ(y[r * kMostPanels + p], p < panels ? float(r + 1) + 1000 * float(e) : 0)
            << threads << " threads, expert " << e << ", row " << r << ", panel " << p;
}

TEST(Split, coversEachRowAndPanelOfEachExpertOnce) {
  const std::vector<int32_t> cases[] = {{0, 0, 0},    {1},          {0, 1, 0, 0, 1, 0},
                                        {6, 7, 1, 0}, {300, 0, 2},  {1, 1, 1, 1, 1, 1, 1, 1},
                                        {0, 0, 64},   {2, 33, 9, 5}};
  for (int64_t threads : {1, 2, 3, 7, 16})
    for (int64_t panels : {1, 2, 9, int(kMostPanels)})
      for (const std::vector<int32_t> &counts : cases)
        for (bool reversed : {false, true}) expectExpertsOnce(counts, panels, threads, reversed);
}

TEST(Split, modeFollowsRowsAndThreads) {
  EXPECT_EQ(llmcStepMode(1, 2), LLMC_MODE_FEW);
  EXPECT_EQ(llmcStepMode(LLMC_FEW_ROWS, 1), LLMC_MODE_FEW);
  EXPECT_EQ(llmcStepMode(LLMC_FEW_ROWS + 1, 1), LLMC_MODE_TILES);
  EXPECT_EQ(llmcStepMode(512, 2), LLMC_MODE_ROWS);
  EXPECT_EQ(llmcStepMode(512, 64), LLMC_MODE_TILES);
}

} // namespace
