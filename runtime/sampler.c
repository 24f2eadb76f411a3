/* sampler.c: a token from logits. All arithmetic is here and in plain IEEE operations (no libm, no contraction, a fixed
 * order), so the same seed gives the same tokens on every machine.
 *
 * The most likely tokens are found without sorting the vocabulary: tokens are counted in bins by how far their logit is
 * below the highest one, whole bins are in or out, and only the bin where the border falls is put in order. */
#include "internal.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { kBins = 256, kBinsPerUnit = 8 }; /* bins of 1/8 of a logit after temperature; the last takes all below -31.9 */

struct llmc_sampler {
  llmc_sampler_options options;
  int64_t vocab;
  uint64_t state[4];
  int64_t binCount[kBins];
  double binMass[kBins];
  llmc_candidate *heap; /* [vocab] of the border bin */
  float *mass;          /* [vocab] exp((logit - highest) / temperature), 0 if it cannot be chosen */
  uint8_t *bin;         /* [vocab] */
};

/* ---- random numbers: xoshiro256**, seeded by splitmix64 (Blackman and Vigna, prng.di.unimi.it) ---- */

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t nextRandom(uint64_t s[4]) {
  uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

static void seedRandom(uint64_t s[4], uint64_t seed) {
  for (int i = 0; i < 4; ++i) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    s[i] = z ^ z >> 31;
  }
}

/* exp(x) for x <= 0, relative error 2e-7: 2^n * e^r, |r| <= ln(2)/2, Taylor to r^7. 0 below -87 and for NaN. */
static inline float exponential(float x) {
  bool tiny = !(x > -87.0f);
  float clamped = tiny ? 0.0f : x;
  int32_t n = (int32_t)(clamped * 1.44269504f - 0.5f);
  float r = clamped - (float)n * 0.693145752f - (float)n * 1.42860677e-6f; /* ln 2 in two parts */
  float sum = 1.0f / 5040;
  sum = sum * r + 1.0f / 720;
  sum = sum * r + 1.0f / 120;
  sum = sum * r + 1.0f / 24;
  sum = sum * r + 1.0f / 6;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  uint32_t bits = (uint32_t)(n + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof power);
  return tiny ? 0.0f : sum * power;
}

/* ---- the most likely tokens ---- */

static void siftDown(llmc_candidate *heap, int64_t size, int64_t at) {
  llmc_candidate moved = heap[at];
  for (int64_t child; (child = 2 * at + 1) < size; at = child) {
    if (child + 1 < size && llmcBefore(heap[child + 1], heap[child])) ++child;
    if (!llmcBefore(heap[child], moved)) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

static void weigh(llmc_sampler *s, const float *logits, float highest) {
  float temperature = s->options.temperature;
  for (int64_t i = 0; i < s->vocab; ++i) s->mass[i] = exponential((logits[i] - highest) / temperature);
}

static void fillBins(llmc_sampler *s, const float *logits, float highest) {
  float temperature = s->options.temperature;
  for (int64_t i = 0; i < s->vocab; ++i) {
    float distance = (highest - logits[i]) / temperature * kBinsPerUnit;
    s->bin[i] = (uint8_t)(distance < kBins - 1 ? (int32_t)distance : kBins - 1); /* NaN: the last */
  }
  memset(s->binCount, 0, sizeof s->binCount);
  memset(s->binMass, 0, sizeof s->binMass);
  for (int64_t i = 0; i < s->vocab; ++i) {
    ++s->binCount[s->bin[i]];
    s->binMass[s->bin[i]] += (double)s->mass[i];
  }
}

static int64_t collectBin(llmc_sampler *s, const float *logits, int bin) {
  int64_t size = 0;
  for (int64_t i = 0; i < s->vocab; ++i)
    if (s->bin[i] == bin && logits[i] > -INFINITY) s->heap[size++] = (llmc_candidate){logits[i], (int32_t)i};
  for (int64_t i = size / 2; i-- > 0;) siftDown(s->heap, size, i);
  return size;
}

/* Keeps the first tokens in order, until there are `count` or their mass is `enough`; the mass of the others becomes 0.
 * Returns the mass kept. */
static double keepFirst(llmc_sampler *s, const float *logits, int64_t count, double enough) {
  double total = 0;
  int border = 0;
  while (border < kBins && s->binCount[border] <= count && total + s->binMass[border] < enough) {
    count -= s->binCount[border];
    total += s->binMass[border++];
  }
  if (border == kBins) return total;
  llmc_candidate last = {INFINITY, -1}; /* kept from the border bin: what is not after it */
  for (int64_t size = collectBin(s, logits, border); size > 0 && count > 0 && total < enough; --count) {
    last = s->heap[0];
    total += (double)s->mass[last.token];
    s->heap[0] = s->heap[--size];
    siftDown(s->heap, size, 0);
  }
  for (int64_t i = 0; i < s->vocab; ++i) {
    llmc_candidate c = {logits[i], (int32_t)i};
    if (s->bin[i] > border || (s->bin[i] == border && llmcBefore(last, c))) s->mass[i] = 0;
  }
  return total;
}

/* ---- sampling ---- */

static double sumMass(const llmc_sampler *s) {
  double parts[4] = {0}; /* four sums do not wait for each other */
  for (int64_t i = 0; i < s->vocab; ++i) parts[i & 3] += (double)s->mass[i];
  return parts[0] + parts[1] + (parts[2] + parts[3]);
}

/* The token on which a random share of the mass falls; the last possible one if rounding leaves a rest. */
static int32_t draw(llmc_sampler *s, double total) {
  double left = (double)(nextRandom(s->state) >> 11) * 0x1p-53 * total;
  int64_t last = 0;
  for (int64_t i = 0; i < s->vocab; ++i) {
    if (s->mass[i] == 0) continue;
    last = i;
    if ((left -= (double)s->mass[i]) < 0) break;
  }
  return (int32_t)last;
}

int64_t llmc_sampler_best(const llmc_sampler *s) {
  if (s->options.temperature == 0) return 1;
  return s->options.top_k <= LLMC_MOST_BEST ? s->options.top_k : 0;
}

int32_t llmc_sample_best(llmc_sampler *s, const llmc_candidate *best, int64_t count) {
  int64_t needed = llmc_sampler_best(s);
  if (count < 1 || !needed) return -1;
  if (s->options.temperature == 0 || best[0].logit == INFINITY) return best[0].token;
  if (count > needed) count = needed;
  double total = 0, kept = 0, p = (double)s->options.top_p;
  for (int64_t i = 0; i < count; ++i)
    total += (double)(s->mass[i] = exponential((best[i].logit - best[0].logit) / s->options.temperature));
  int64_t last = 0;
  while (last < count && (p == 1 || kept < p * total)) kept += (double)s->mass[last++];
  double left = (double)(nextRandom(s->state) >> 11) * 0x1p-53 * kept;
  int64_t drawn = 0;
  while (drawn < last - 1 && (left -= (double)s->mass[drawn]) >= 0) ++drawn;
  return best[drawn].token;
}

static int32_t sampleListed(llmc_sampler *s, const float *logits) {
  llmc_candidate list[LLMC_MOST_BEST];
  struct llmcBest best = {.count = llmc_sampler_best(s), .rows = 1, .vocab = s->vocab, .lists = list};
  llmcBestClear(&best, 1);
  llmcBestScan(&best, 0, 0, logits, 0, s->vocab);
  int64_t count;
  llmcBestRow(&best, 0, &count);
  return llmc_sample_best(s, list, count);
}

int32_t llmc_sample(llmc_sampler *s, const float *logits) {
  int32_t best = -1;
  float highest = -INFINITY;
  for (int64_t i = 0; i < s->vocab; ++i)
    if (logits[i] > highest) highest = logits[i], best = (int32_t)i;
  if (best < 0 || s->options.temperature == 0 || highest == INFINITY) return best;
  if (llmc_sampler_best(s)) return sampleListed(s, logits);
  weigh(s, logits, highest);
  double total = sumMass(s), p = (double)s->options.top_p;
  if (s->options.top_k || p < 1) fillBins(s, logits, highest);
  if (s->options.top_k) total = keepFirst(s, logits, s->options.top_k, INFINITY);
  /* The bins still hold what top-k removed; the same limit again keeps that out. */
  if (p < 1) total = keepFirst(s, logits, s->options.top_k ? s->options.top_k : s->vocab, p * total);
  return draw(s, total);
}

static int checkOptions(const llmc_sampler_options *o, int64_t vocab, llmc_error *error) {
  if (vocab < 1 || vocab > INT32_MAX)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "vocab: found %" PRId64 ", expected 1..%d", vocab, INT32_MAX);
  if (!(o->temperature >= 0 && o->temperature < INFINITY))
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "temperature: found %g, expected 0 or more", (double)o->temperature);
  if (!(o->top_p >= 0 && o->top_p <= 1))
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "top_p: found %g, expected 0..1", (double)o->top_p);
  if (o->top_k < 0)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "top_k: found %" PRId64 ", expected 0 or more", o->top_k);
  return LLMC_OK;
}

int llmc_sampler_create(llmc_sampler **out, int64_t vocab, const llmc_sampler_options *options, llmc_error *error) {
  static const llmc_sampler_options defaults;
  llmc_sampler_options o = options ? *options : defaults;
  if (!out) return llmcFail(error, LLMC_ERROR_ARGUMENT, "sampler: found null");
  *out = NULL;
  int status = checkOptions(&o, vocab, error);
  if (status) return status;
  if (o.top_p == 0) o.top_p = 1;
  llmc_sampler *s = calloc(1, sizeof *s + (size_t)vocab * (sizeof *s->heap + sizeof *s->mass + sizeof *s->bin));
  if (!s) return llmcFail(error, LLMC_ERROR_NO_MEMORY, "sampler: found no memory for vocab %" PRId64, vocab);
  s->options = o;
  s->vocab = vocab;
  s->heap = (llmc_candidate *)(s + 1);
  s->mass = (float *)(s->heap + vocab);
  s->bin = (uint8_t *)(s->mass + vocab);
  seedRandom(s->state, o.seed);
  *out = s;
  return LLMC_OK;
}

void llmc_sampler_free(llmc_sampler *sampler) { free(sampler); }
