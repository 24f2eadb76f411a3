/* kv.c: sequences and the pages of their cached keys and values. A page is shared by reference count and copied by the
 * first owner that writes to it. */
#include "internal.h"
#include <inttypes.h>
#include <string.h>

static int64_t pagesFor(int64_t positions) { return (positions + LLMC_PAGE_POSITIONS - 1) / LLMC_PAGE_POSITIONS; }

static int32_t takePage(struct llmcKv *kv) {
  int32_t page = kv->freePages[--kv->freeCount];
  kv->references[page] = 1;
  return page;
}

static void dropPage(struct llmcKv *kv, int32_t page) {
  if (!--kv->references[page]) kv->freePages[kv->freeCount++] = page;
}

void llmcKvInit(struct llmcKv *kv) {
  for (int64_t i = 0; i < kv->pageCount; ++i) kv->freePages[i] = (int32_t)(kv->pageCount - 1 - i); /* page 0 first */
  kv->freeCount = kv->pageCount;
  for (int64_t i = 0; i < kv->maxSequences; ++i) kv->lengths[i] = -1;
}

bool llmcKvHas(const struct llmcKv *kv, int32_t sequence) {
  return sequence >= 0 && sequence < kv->maxSequences && kv->lengths[sequence] >= 0;
}

/* ---- appending ---- */

/* The sequence's next token goes into a page that others use too. */
static bool writesShared(const struct llmcKv *kv, int32_t sequence) {
  int64_t length = kv->lengths[sequence];
  return length % LLMC_PAGE_POSITIONS && kv->references[kv->tables[sequence][length / LLMC_PAGE_POSITIONS]] > 1;
}

/* Pages that the groups need. References of pages that are going to be copied are dropped already, so that of n owners
 * that write in this step n-1 copy; undoCopies takes that back. */
static int64_t countPages(struct llmcKv *kv, const struct llmcGroups *groups) {
  int64_t needed = 0;
  for (int64_t g = 0; g < groups->count; ++g) {
    int32_t s = groups->sequence[g];
    int64_t length = kv->lengths[s];
    groups->copies[g] = writesShared(kv, s);
    if (groups->copies[g]) --kv->references[kv->tables[s][length / LLMC_PAGE_POSITIONS]];
    needed += groups->copies[g] + pagesFor(length + groups->tokens[s]) - pagesFor(length);
  }
  return needed;
}

static void undoCopies(struct llmcKv *kv, const struct llmcGroups *groups) {
  for (int64_t g = 0; g < groups->count; ++g) {
    int32_t s = groups->sequence[g];
    if (groups->copies[g]) ++kv->references[kv->tables[s][kv->lengths[s] / LLMC_PAGE_POSITIONS]];
  }
}

static void extend(struct llmcKv *kv, int32_t sequence, int64_t tokens, bool copies) {
  int32_t *table = kv->tables[sequence];
  int64_t length = kv->lengths[sequence], end = pagesFor(length + tokens);
  if (copies) {
    int32_t *entry = &table[length / LLMC_PAGE_POSITIONS], page = takePage(kv);
    memcpy(kv->pages + page * kv->pageBytes, kv->pages + *entry * kv->pageBytes, (size_t)kv->pageBytes);
    *entry = page;
  }
  for (int64_t i = pagesFor(length); i < end; ++i) table[i] = takePage(kv);
  kv->lengths[sequence] = (int32_t)(length + tokens);
}

int llmcKvAppend(struct llmcKv *kv, const struct llmcGroups *groups, llmc_error *error) {
  for (int64_t g = 0; g < groups->count; ++g) {
    int32_t s = groups->sequence[g];
    int64_t length = (int64_t)kv->lengths[s] + groups->tokens[s];
    if (length > kv->maxContext)
      return llmcFail(error, LLMC_ERROR_CONTEXT_FULL,
                      "sequence %d: found %" PRId64 " positions, expected at most %" PRId64
                      " (max_context, or max_positions if that is less)",
                      s, length, kv->maxContext);
  }
  int64_t needed = countPages(kv, groups);
  if (needed > kv->freeCount) {
    undoCopies(kv, groups);
    return llmcFail(error, LLMC_ERROR_CONTEXT_FULL,
                    "kv cache: found %" PRId64 " free pages of %" PRId64 ", expected %" PRId64
                    "; free or truncate a sequence, or raise max_positions",
                    kv->freeCount, kv->pageCount, needed);
  }
  for (int64_t g = 0; g < groups->count; ++g) {
    int32_t s = groups->sequence[g];
    extend(kv, s, groups->tokens[s], groups->copies[g]);
  }
  return LLMC_OK;
}

/* ---- sequences ---- */

static int noSequence(const struct llmcKv *kv, int32_t sequence, llmc_error *error) {
  return llmcFail(error, LLMC_ERROR_ARGUMENT, "sequence: found %d, expected one that was created (0..%" PRId64 ")",
                  sequence, kv->maxSequences - 1);
}

static int newSequence(struct llmcKv *kv, int32_t *sequence, llmc_error *error) {
  for (int32_t s = 0; s < kv->maxSequences; ++s) {
    if (kv->lengths[s] >= 0) continue;
    kv->lengths[s] = 0;
    ++kv->alive;
    *sequence = s;
    return LLMC_OK;
  }
  return llmcFail(error, LLMC_ERROR_CONTEXT_FULL, "sequences: found all %" PRId64 " (max_sequences) in use",
                  kv->maxSequences);
}

static void shorten(struct llmcKv *kv, int32_t sequence, int64_t length) {
  for (int64_t i = pagesFor(kv->lengths[sequence]); i-- > pagesFor(length);) dropPage(kv, kv->tables[sequence][i]);
  kv->lengths[sequence] = (int32_t)length;
}

int llmc_sequence_create(llmc_context *context, int32_t *sequence, llmc_error *error) {
  return newSequence(&context->kv, sequence, error);
}

int llmc_sequence_fork(llmc_context *context, int32_t source, int32_t *sequence, llmc_error *error) {
  struct llmcKv *kv = &context->kv;
  if (!llmcKvHas(kv, source)) return noSequence(kv, source, error);
  int status = newSequence(kv, sequence, error);
  if (status) return status;
  int64_t pages = pagesFor(kv->lengths[source]);
  memcpy(kv->tables[*sequence], kv->tables[source], (size_t)pages * sizeof(int32_t));
  for (int64_t i = 0; i < pages; ++i) ++kv->references[kv->tables[source][i]];
  kv->lengths[*sequence] = kv->lengths[source];
  return LLMC_OK;
}

int llmc_sequence_free(llmc_context *context, int32_t sequence, llmc_error *error) {
  struct llmcKv *kv = &context->kv;
  if (!llmcKvHas(kv, sequence)) return noSequence(kv, sequence, error);
  shorten(kv, sequence, 0);
  kv->lengths[sequence] = -1;
  --kv->alive;
  return LLMC_OK;
}

int64_t llmc_sequence_length(const llmc_context *context, int32_t sequence) {
  return llmcKvHas(&context->kv, sequence) ? context->kv.lengths[sequence] : -1;
}

int llmc_sequence_truncate(llmc_context *context, int32_t sequence, int64_t length, llmc_error *error) {
  struct llmcKv *kv = &context->kv;
  if (!llmcKvHas(kv, sequence)) return noSequence(kv, sequence, error);
  if (length < 0 || length > kv->lengths[sequence])
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "length: found %" PRId64 ", expected 0..%d, the length of sequence %d",
                    length, kv->lengths[sequence], sequence);
  shorten(kv, sequence, length);
  return LLMC_OK;
}
