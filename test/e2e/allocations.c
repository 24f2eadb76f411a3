/* allocations.c: a step asks the system for nothing. allocations MODEL.so: exits 0 if no thread called malloc, calloc,
 * realloc, free, mmap or munmap during any of many kinds of steps, else says how often and exits 1. */
#define _GNU_SOURCE
#include "counting.h"
#include <stdio.h>

enum { kSequences = 3, kRows = 96, kPositions = 200 };

#define PROGRAM "allocations"
/* clang-format off */
#define FUNCTIONS(X) \
  X(llmc_open) X(llmc_close) X(llmc_info) X(llmc_context_create) X(llmc_context_free) X(llmc_sequence_create) \
  X(llmc_sequence_fork) X(llmc_sequence_truncate) X(llmc_step) X(llmc_logits) X(llmc_best) X(llmc_sampler_create) X(llmc_sample) \
  X(llmc_sample_best) X(llmc_sampler_free)
/* clang-format on */
#include "library.h"

/* `rows` tokens, dealt to `sequences` sequences one after the other; the calls counted in the step and in sampling. */
static int step(llmc_context *context, llmc_sampler *sampler, const llmc_model_info *info, int rows, int sequences,
                int best) {
  static int32_t tokens[kRows], owners[kRows];
  for (int i = 0; i < rows; ++i) tokens[i] = (int32_t)(i * 7 % info->vocab), owners[i] = i * sequences / rows;
  llmc_step_input input = {.n = rows, .tokens = tokens, .sequences = owners, .best = best};
  calls = 0;
  counting = 1;
  int status = p_llmc_step(context, &input, &error);
  int64_t listed;
  const llmc_candidate *list = p_llmc_best(context, 0, &listed);
  if (best)
    p_llmc_sample_best(sampler, list, listed);
  else
    p_llmc_sample(sampler, p_llmc_logits(context, 0));
  counting = 0;
  check(status);
  return calls;
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: allocations MODEL.so\n"), 2;
  loadLibrary(argv[1]);
  if (!hooksWork()) return fprintf(stderr, "allocations: %d calls seen of 2: the hooks do not work\n", calls), 1;

  llmc_model *model;
  llmc_context *context;
  llmc_sampler *sampler;
  llmc_model_info info;
  llmc_context_options options = {
      .max_batch_rows = kRows, .max_positions = kPositions * kSequences, .max_sequences = kSequences + 1, .threads = 2};
  llmc_sampler_options sampling = {.temperature = 1, .top_p = 0.9f, .top_k = 40};
  /* The thread that maps the weights while other work starts is not part of a step. */
  llmc_open_options opening = {.abi_version = LLMC_ABI_VERSION, .prefetch = LLMC_PREFETCH_NONE};
  check(p_llmc_open(&model, &opening, &error));
  p_llmc_info(model, &info);
  check(p_llmc_context_create(&context, model, &options, &error));
  check(p_llmc_sampler_create(&sampler, info.vocab, &sampling, &error));
  for (int32_t s = 0, id; s < kSequences; ++s) check(p_llmc_sequence_create(context, &id, &error));

  static const int kSteps[][2] = {{1, 1}, {2, 1}, {6, 1}, {7, 1}, {64, 1}, {96, 1}, {3, 3}, {96, 3}, {1, 1}};
  int bad = 0;
  for (size_t i = 0; i < sizeof kSteps / sizeof *kSteps; ++i) {
    int seen = step(context, sampler, &info, kSteps[i][0], kSteps[i][1], i % 2 ? 40 : 0);
    if (seen) fprintf(stderr, "allocations: %d calls in a step of %d rows\n", seen, kSteps[i][0]), bad = 1;
    if (i == 4 || i == 5) check(p_llmc_sequence_truncate(context, 0, 1, &error)); /* pages go back */
  }
  int32_t fork;
  check(p_llmc_sequence_fork(context, 0, &fork, &error)); /* the next step copies its page */
  int seen = step(context, sampler, &info, 1, 1, 40);
  if (seen) fprintf(stderr, "allocations: %d calls in a step after a fork\n", seen), bad = 1;
  p_llmc_sampler_free(sampler);
  p_llmc_context_free(context);
  p_llmc_close(model);
  return bad;
}
