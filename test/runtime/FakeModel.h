// FakeModel.h: a model whose logits depend on every token, position and page, in exact integer arithmetic, and what
// they must be (no pages, no threads, no batch). C and C++.
#ifndef LLMC_TEST_FAKEMODEL_H
#define LLMC_TEST_FAKEMODEL_H
#include "llmc_artifact.h"

enum {
  kFakeVocab = 101,
  kFakeLayers = 2,
  kFakeHidden = 8,
  kFakeMaxContext = 200,
  kFakeWeightBytes = kFakeVocab * kFakeHidden * 4,
  kFakeLayerBytes = LLMC_PAGE_POSITIONS * kFakeHidden * 4,
  kFakePageBytes = kFakeLayers * kFakeLayerBytes,
  kFakeLogitsStride = 448, // 101 floats
};
// file_size of an artifact that is not finished; finishArtifact looks for it.
#define FAKE_UNFINISHED UINT64_C(0xfeedfacecafebeef)

static inline uint32_t fakeWeight(int token, int c) {
  return (uint32_t)(token * 2654435761u) ^ (uint32_t)(c * 40503u + 7);
}
static inline uint32_t fakeCached(uint32_t x, int layer) { return x * 2246822519u + (uint32_t)layer + 1; }
// Not commutative: the order of the positions matters.
static inline uint32_t fakeFold(uint32_t h, uint32_t cached) { return h * 31 + (cached ^ h >> 15); }
static inline float fakeLogit(const uint32_t *x, int v) {
  return (float)((x[v % kFakeHidden] * (uint32_t)(2 * v + 1)) >> 8);
}

#ifdef __cplusplus
extern "C" {
#endif
// Defined by fake_model.c when it is part of the test's own program (there the constants may be changed).
extern __thread int fakeInsideStep; // this thread is in the step
#ifdef __cplusplus
}

#include <vector>
namespace llmc::test {
/// Logits after the last of `tokens`.
inline std::vector<float> fakeLogits(const std::vector<int32_t> &tokens) {
  std::vector<uint32_t> x(tokens.size() * kFakeHidden), y(x.size());
  for (size_t t = 0; t < tokens.size(); ++t)
    for (int c = 0; c < kFakeHidden; ++c) x[t * kFakeHidden + c] = fakeWeight(tokens[t], c);
  for (int layer = 0; layer < kFakeLayers; ++layer, x = y)
    for (size_t t = 0; t < tokens.size(); ++t)
      for (int c = 0; c < kFakeHidden; ++c) {
        uint32_t h = 0;
        for (size_t j = 0; j <= t; ++j) h = fakeFold(h, fakeCached(x[j * kFakeHidden + c], layer));
        y[t * kFakeHidden + c] = h;
      }
  std::vector<float> logits(kFakeVocab);
  for (int v = 0; v < kFakeVocab; ++v) logits[v] = fakeLogit(&x[x.size() - kFakeHidden], v);
  return logits;
}
} // namespace llmc::test
#endif
#endif
