/* steps.c: what one step computes must not depend on how tokens are divided over steps and sequences.
 * steps MODEL.so ROWS ID...: prints nothing and exits 0 if, bit for bit,
 *   a prompt in steps of ROWS tokens gives the last logits of the prompt in one step, and
 *   two sequences in the same steps give what each gives alone;
 * else says what differs and exits 1. The second sequence is the first reversed. */
#include "llmc.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define FUNCTIONS(X) \
  X(llmc_open) X(llmc_close) X(llmc_info) X(llmc_context_create) X(llmc_context_free) X(llmc_sequence_create) \
  X(llmc_sequence_free) X(llmc_step) X(llmc_logits)
/* clang-format on */
#define DECLARE(name) static __typeof__(name) *p_##name;
FUNCTIONS(DECLARE)
#define LOAD(name)                                                                                                     \
  if (!(*(void **)&p_##name = dlsym(library, #name))) return fprintf(stderr, "%s\n", dlerror()), 1;

static llmc_error error;
static llmc_model_info info;
static llmc_context *context;

static void check(int status) {
  if (!status) return;
  fprintf(stderr, "steps: %s\n", error.message);
  exit(1);
}

/* Appends `count` tokens of each of `n` sequences in one step, interleaved; logits[i] after the last of sequence i. */
static void step(int n, const int32_t *sequences, const int32_t *const *tokens, int count, float *const *logits) {
  int32_t *ids = calloc(n * count, sizeof *ids), *owners = calloc(n * count, sizeof *owners);
  for (int t = 0; t < count; ++t)
    for (int s = 0; s < n; ++s) ids[t * n + s] = tokens[s][t], owners[t * n + s] = sequences[s];
  llmc_step_input input = {.n = n * count, .tokens = ids, .sequences = owners};
  check(p_llmc_step(context, &input, &error));
  for (int s = 0; s < n; ++s) memcpy(logits[s], p_llmc_logits(context, s), info.vocab * sizeof(float));
  free(ids);
  free(owners);
}

/* The last logits of `n` sequences of `length` tokens, `rows` tokens of each in a step. */
static void run(int n, const int32_t *const *tokens, int length, int rows, float *const *logits) {
  int32_t sequences[2];
  for (int s = 0; s < n; ++s) check(p_llmc_sequence_create(context, &sequences[s], &error));
  for (int done = 0; done < length; done += rows) {
    const int32_t *rest[2] = {tokens[0] + done, n > 1 ? tokens[1] + done : NULL};
    step(n, sequences, rest, length - done < rows ? length - done : rows, logits);
  }
  for (int s = 0; s < n; ++s) check(p_llmc_sequence_free(context, sequences[s], &error));
}

static int same(const char *what, const float *a, const float *b) {
  for (int64_t i = 0; i < info.vocab; ++i)
    if (memcmp(&a[i], &b[i], sizeof *a))
      return fprintf(stderr, "steps: %s: logit %ld is %.9g, expected %.9g\n", what, (long)i, a[i], b[i]), 0;
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 4) return fprintf(stderr, "usage: steps MODEL.so ROWS ID...\n"), 2;
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return fprintf(stderr, "steps: %s\n", dlerror()), 1;
  FUNCTIONS(LOAD)
  llmc_model *model;
  check(p_llmc_open(&model, NULL, &error));
  p_llmc_info(model, &info);

  int rows = atoi(argv[2]), length = argc - 3;
  int32_t *forward = calloc(length, sizeof *forward), *backward = calloc(length, sizeof *backward);
  for (int i = 0; i < length; ++i) forward[i] = backward[length - 1 - i] = atoi(argv[3 + i]);
  llmc_context_options options = {.max_batch_rows = 2 * length, .max_positions = 4 * length, .max_sequences = 2};
  check(p_llmc_context_create(&context, model, &options, &error));

  const int32_t *tokens[2] = {forward, backward};
  float *whole[2], *parts[2], *together[2];
  for (int s = 0; s < 2; ++s) {
    whole[s] = calloc(info.vocab, sizeof(float));
    parts[s] = calloc(info.vocab, sizeof(float));
    together[s] = calloc(info.vocab, sizeof(float));
    run(1, &tokens[s], length, length, &whole[s]);
    run(1, &tokens[s], length, rows, &parts[s]);
  }
  run(2, tokens, length, rows, together);
  int good = 1;
  for (int s = 0; s < 2; ++s) {
    good &= same("the prompt in parts against in one step", parts[s], whole[s]);
    good &= same("two sequences together against each alone", together[s], parts[s]);
  }
  p_llmc_context_free(context);
  p_llmc_close(model);
  return !good;
}
