/* best.c: the most likely tokens of the wanted rows, listed while their logits are made: each thread looks through the
 * columns that it has just computed, which are still in its cache, and the lists of all threads are merged at the end
 * of the step. The order is total (logit, then token), so the result does not depend on who computed what. */
#include "internal.h"
#include <math.h>

static llmc_candidate *listOf(const struct llmcBest *best, int64_t thread, int64_t row) {
  return best->lists + (thread * best->rows + row) * best->count;
}

void llmcBestClear(const struct llmcBest *best, int64_t threads) {
  for (int64_t i = 0; i < threads * best->rows * best->count; ++i)
    best->lists[i] = (llmc_candidate){-INFINITY, INT32_MAX};
}

bool llmcBefore(llmc_candidate a, llmc_candidate b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

static void insert(llmc_candidate *list, int64_t count, llmc_candidate found) {
  int64_t at = count - 1;
  if (!llmcBefore(found, list[at])) return;
  for (; at > 0 && llmcBefore(found, list[at - 1]); --at) list[at] = list[at - 1];
  list[at] = found;
}

/* Few logits are as high as the least of the list: whole blocks are looked at for one that is. NaN and -inf never are
 * (-inf equals what the list starts with, but is skipped below). */
void llmcBestScan(const struct llmcBest *best, int64_t thread, int64_t row, const float *logits, int64_t begin,
                  int64_t end) {
  enum { kBlock = 32 };
  llmc_candidate *list = listOf(best, thread, row);
  while (begin < end) {
    int64_t stop = end - begin < kBlock ? end : begin + kBlock;
    float least = list[best->count - 1].logit;
    if (stop - begin == kBlock) {
      int found = 0;
      for (int i = 0; i < kBlock; ++i) found |= logits[begin + i] >= least;
      if (!found) begin = stop;
    }
    for (; begin < stop; ++begin)
      if (logits[begin] >= least && logits[begin] > -INFINITY)
        insert(list, best->count, (llmc_candidate){logits[begin], (int32_t)begin});
  }
}

void llmcBestMerge(const struct llmcBest *best, int64_t threads) {
  for (int64_t row = 0; row < best->rows; ++row)
    for (int64_t thread = 1; thread < threads; ++thread)
      for (int64_t i = 0; i < best->count; ++i) insert(listOf(best, 0, row), best->count, listOf(best, thread, row)[i]);
}

const llmc_candidate *llmcBestRow(const struct llmcBest *best, int64_t row, int64_t *count) {
  const llmc_candidate *list = listOf(best, 0, row);
  int64_t listed = 0;
  while (listed < best->count && list[listed].logit > -INFINITY) ++listed;
  if (count) *count = listed;
  return list;
}
