/* fake_model.c: what the compiler would write for FakeModel.h, in scalar C. Built into the test's program, and, with
 * FAKE_SHARED and a runtime object, as a shared object that finishArtifact completes. */
#include "FakeModel.h"

void llmc_step_barrier(const struct llmc_batch *batch, int64_t thread, int64_t threads);

__thread int fakeInsideStep;

/* Values of the arena: x, then y, 64 bytes a row. */
static uint32_t *row(const struct llmc_batch *b, int value, int64_t r) {
  return (uint32_t *)(b->arena + value * 64 * b->capacity + r * 64);
}

static uint32_t *cached(const struct llmc_batch *b, int layer, int32_t sequence, int32_t position) {
  int64_t page = b->page_tables[sequence][position / LLMC_PAGE_POSITIONS];
  char *memory = b->pages + page * kFakePageBytes + layer * kFakeLayerBytes;
  return (uint32_t *)memory + position % LLMC_PAGE_POSITIONS * kFakeHidden;
}

static void append(const struct llmc_batch *b, int layer, int64_t r) {
  uint32_t *to = cached(b, layer, b->sequences[r], b->positions[r]);
  for (int c = 0; c < kFakeHidden; ++c) to[c] = fakeCached(row(b, layer % 2, r)[c], layer);
}

static void attend(const struct llmc_batch *b, int layer, int64_t r) {
  uint32_t *y = row(b, 1 - layer % 2, r);
  for (int c = 0; c < kFakeHidden; ++c) y[c] = 0;
  for (int32_t j = 0; j <= b->positions[r]; ++j)
    for (int c = 0; c < kFakeHidden; ++c) y[c] = fakeFold(y[c], cached(b, layer, b->sequences[r], j)[c]);
}

static void logits(const struct llmc_batch *b, int64_t i) {
  float *to = (float *)(b->logit_arena + 64 * b->logit_capacity + i * kFakeLogitsStride);
  for (int v = 0; v < kFakeVocab; ++v) to[v] = fakeLogit(row(b, kFakeLayers % 2, b->logit_rows[i]), v);
}

/* Each phase deals the rows to the threads in another way, so that every barrier is needed. */
static void step(const struct llmc_batch *b, int64_t thread, int64_t threads) {
  fakeInsideStep = 1;
  const uint32_t *weights = (const uint32_t *)b->weights;
  for (int64_t r = thread; r < b->rows; r += threads)
    for (int c = 0; c < kFakeHidden; ++c) row(b, 0, r)[c] = weights[b->tokens[r] * kFakeHidden + c];
  llmc_step_barrier(b, thread, threads);
  for (int layer = 0; layer < kFakeLayers; ++layer) {
    for (int64_t r = (thread + 1) % threads; r < b->rows; r += threads) append(b, layer, r);
    llmc_step_barrier(b, thread, threads);
    for (int64_t r = threads - 1 - thread; r < b->rows; r += threads) attend(b, layer, r);
    llmc_step_barrier(b, thread, threads);
  }
  for (int64_t i = thread; i < b->logit_count; i += threads) logits(b, i);
  fakeInsideStep = 0;
}

/* graph .. partial_bytes: none; x and y; a value before the logits, and the logits; nothing private. */
#define kPlan NULL, 128, 64 + kFakeLogitsStride, 64, kFakeLogitsStride, 0, 0, 0

/* Features of the first: sse4.2, avx512fp16, neon, sve and one that no runtime knows. No CPU has them all. */
static const struct llmc_variant variants[] = {
    {"future", (uint64_t)1 << 0 | (uint64_t)1 << 20 | (uint64_t)1 << 24 | (uint64_t)1 << 40, "all of them", step,
     kPlan},
    {"plain", 0, "none", step, kPlan},
    {"plainer", 0, "none", step, kPlan},
};

#ifdef FAKE_SHARED
#define MUTABLE const
__attribute__((section(".note.llmc"), visibility("default")))
#else
#define MUTABLE
#endif
MUTABLE struct llmc_artifact llmc_artifact = {
    .magic = "LLMCART",
    .version = LLMC_ARTIFACT_VERSION,
#ifdef FAKE_SHARED
    .file_size = FAKE_UNFINISHED,
#endif
};

MUTABLE struct llmc_model_constants llmc_model_constants = {
    .vocab = kFakeVocab,
    .layers = kFakeLayers,
    .hidden = kFakeHidden,
    .max_context = kFakeMaxContext,
    .page_bytes = kFakePageBytes,
    .weight_bytes = kFakeWeightBytes,
    .kv_bits = 32,
    .variant_count = 3,
    .variants = variants,
};
