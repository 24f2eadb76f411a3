/* steps.c: what one step computes must not depend on how tokens are divided over steps, sequences and threads.
 * steps MODEL.so ROWS WHOLE ID...: prints nothing and exits 0 if, bit for bit,
 *   a prompt in steps of ROWS tokens gives the last logits of the prompt in steps of WHOLE (0: all in one),
 *   two sequences in the same steps give what each gives alone,
 *   1, 2, 3 and 7 threads give the same, and
 *   the best tokens of a step are those of its logits;
 * else says what differs and exits 1. The second sequence is the first reversed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "steps"
/* clang-format off */
#define FUNCTIONS(X) \
  X(llmc_open) X(llmc_close) X(llmc_info) X(llmc_context_create) X(llmc_context_free) X(llmc_sequence_create) \
  X(llmc_sequence_free) X(llmc_step) X(llmc_logits) X(llmc_best)
/* clang-format on */
#include "library.h"

static llmc_model_info info;
static llmc_context *context;

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

static void create(llmc_model *model, int length, int threads) {
  llmc_context_options options = {
      .max_batch_rows = 2 * length, .max_positions = 4 * length, .max_sequences = 2, .threads = threads};
  check(p_llmc_context_create(&context, model, &options, &error));
}

/* The token that comes after `last` in the order of the best; -1 at the end. */
static int32_t next(const float *logits, llmc_candidate last) {
  int32_t found = -1;
  for (int32_t i = 0; i < info.vocab; ++i)
    if ((logits[i] < last.logit || (logits[i] == last.logit && i > last.token)) && logits[i] > -INFINITY &&
        (found < 0 || logits[i] > logits[found]))
      found = i;
  return found;
}

/* The best tokens after the prompt, in steps of `rows` tokens, against its logits. */
static int sameBest(const int32_t *tokens, int length, int rows, int count, const float *logits) {
  int32_t sequence, owners[512];
  check(p_llmc_sequence_create(context, &sequence, &error));
  for (int i = 0; i < rows; ++i) owners[i] = sequence;
  for (int done = 0; done < length; done += rows) {
    llmc_step_input input = {
        .n = length - done < rows ? length - done : rows, .tokens = tokens + done, .sequences = owners, .best = count};
    check(p_llmc_step(context, &input, &error));
  }
  int64_t listed;
  const llmc_candidate *best = p_llmc_best(context, 0, &listed);
  llmc_candidate last = {INFINITY, -1};
  int64_t expected = count < info.vocab ? count : info.vocab;
  if (!best || listed != expected || p_llmc_logits(context, 0))
    return fprintf(stderr, "steps: %ld best tokens of %d, expected %ld and no logits\n", (long)listed, count,
                   (long)expected),
           0;
  for (int64_t i = 0; i < listed; last = best[i++])
    if (best[i].token != next(logits, last) || best[i].logit != logits[best[i].token])
      return fprintf(stderr, "steps: best token %ld of %d in steps of %d is %d, expected %d\n", (long)i, count, rows,
                     best[i].token, next(logits, last)),
             0;
  check(p_llmc_sequence_free(context, sequence, &error));
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 5) return fprintf(stderr, "usage: steps MODEL.so ROWS WHOLE ID...\n"), 2;
  loadLibrary(argv[1]);
  llmc_model *model;
  check(p_llmc_open(&model, NULL, &error));
  p_llmc_info(model, &info);

  int rows = atoi(argv[2]), length = argc - 4, most = atoi(argv[3]) ? atoi(argv[3]) : length;
  int32_t *forward = calloc(length, sizeof *forward), *backward = calloc(length, sizeof *backward);
  for (int i = 0; i < length; ++i) forward[i] = backward[length - 1 - i] = atoi(argv[4 + i]);
  if (length > 512 || rows > 512) return fprintf(stderr, "steps: at most 512 tokens\n"), 2;
  create(model, length, 0);

  const int32_t *tokens[2] = {forward, backward};
  float *whole[2], *parts[2], *together[2];
  for (int s = 0; s < 2; ++s) {
    whole[s] = calloc(info.vocab, sizeof(float));
    parts[s] = calloc(info.vocab, sizeof(float));
    together[s] = calloc(info.vocab, sizeof(float));
    run(1, &tokens[s], length, most, &whole[s]);
    run(1, &tokens[s], length, rows, &parts[s]);
  }
  run(2, tokens, length, rows, together);
  int good = 1;
  for (int s = 0; s < 2; ++s) {
    good &= same("the prompt in parts against in larger steps", parts[s], whole[s]);
    good &= same("two sequences together against each alone", together[s], parts[s]);
  }
  p_llmc_context_free(context);
  static const int kThreads[] = {1, 2, 3, 7}, kBest[] = {1, 5, LLMC_MOST_BEST};
  for (int i = 0; i < 4 && good; ++i) {
    create(model, length, kThreads[i]);
    run(2, tokens, length, rows, together);
    run(1, tokens, length, most, parts);
    good &= same("another number of threads, in parts", together[1], whole[1]);
    good &= same("another number of threads, in larger steps", parts[0], whole[0]);
    for (int k = 0; k < 3 && good; ++k)
      good &=
          sameBest(forward, length, rows, kBest[k], whole[0]) && sameBest(forward, length, most, kBest[k], whole[0]);
    p_llmc_context_free(context);
  }
  p_llmc_close(model);
  return !good;
}
