/* memory.c: what a C program with a model takes. memory MODEL.so CONTEXT BATCH THREADS STEPS: BATCH sequences of
 * CONTEXT tokens, all but the last STEPS of them read as prompts, the last generated together; with 0 STEPS nothing is
 * computed, and all memory is there from the start. Prints as JSON what llmc_plan said, the most that was resident, the
 * calls for memory during steps, and the times, which are for people.
 */
#define _GNU_SOURCE
#include "counting.h"
#include <stdio.h>
#include <time.h>

#define PROGRAM "memory"
/* clang-format off */
#define FUNCTIONS(X) \
  X(llmc_open) X(llmc_close) X(llmc_info) X(llmc_plan) X(llmc_context_create) X(llmc_context_free) \
  X(llmc_context_get_state) X(llmc_sequence_create) X(llmc_step)
/* clang-format on */
#include "library.h"

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Bytes; the system counts them exactly in smaps_rollup only, which has no peak: nothing is given back before this. */
static long long resident(const char *path, const char *key) {
  FILE *file = fopen(path, "r");
  char line[256];
  long long kilobytes = 0;
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, key, strlen(key))) kilobytes = atoll(line + strlen(key));
  if (file) fclose(file);
  return kilobytes * 1024;
}

enum { kRows = 512 }; /* of a step: the default of llmc_context_options */
struct Work {
  llmc_context *context;
  int64_t batch, vocab;
  int32_t tokens[kRows], owners[kRows];
  int rows, calls; /* of the step that is being filled; of all steps */
};

static void flush(struct Work *work) {
  if (!work->rows) return;
  llmc_step_input input = {.n = work->rows, .tokens = work->tokens, .sequences = work->owners};
  calls = 0;
  counting = 1;
  int status = p_llmc_step(work->context, &input, &error);
  counting = 0;
  check(status);
  work->calls += calls;
  work->rows = 0;
}

static void append(struct Work *work, int64_t sequence, int64_t position) {
  work->tokens[work->rows] = (int32_t)((sequence * 31 + position * 7) % work->vocab);
  work->owners[work->rows] = (int32_t)sequence;
  if (++work->rows == kRows) flush(work);
}

int main(int argc, char **argv) {
  if (argc != 6) return fprintf(stderr, "usage: memory MODEL.so CONTEXT BATCH THREADS STEPS\n"), 2;
  loadLibrary(argv[1]);
  if (!hooksWork()) return fprintf(stderr, "memory: %d calls seen of 2: the hooks do not work\n", calls), 1;
  static struct Work work;
  int64_t length = atoll(argv[2]), steps = atoll(argv[5]);
  work.batch = atoll(argv[3]);
  llmc_open_options opening = {.abi_version = LLMC_ABI_VERSION, .prefetch = LLMC_PREFETCH_MAP};
  llmc_context_options options = {
      .max_positions = length * work.batch, .max_sequences = work.batch, .threads = atoll(argv[4]), .populate = !steps};
  llmc_model *model;
  llmc_memory_plan plan;
  llmc_model_info info;
  check(p_llmc_open(&model, &opening, &error));
  p_llmc_info(model, &info);
  work.vocab = info.vocab;
  check(p_llmc_plan(model, &options, &plan, &error));
  check(p_llmc_context_create(&work.context, model, &options, &error));
  for (int64_t i = 0; i < work.batch; ++i) {
    int32_t sequence;
    check(p_llmc_sequence_create(work.context, &sequence, &error));
  }
  double start = now();
  for (int64_t s = 0; steps && s < work.batch; ++s)
    for (int64_t i = 0; i < length - steps; ++i) append(&work, s, i);
  flush(&work);
  double filled = now();
  for (int64_t i = length - steps; i < length; ++i) {
    for (int64_t s = 0; s < work.batch; ++s) append(&work, s, i);
    flush(&work);
  }
  double end = now();
  llmc_context_state state;
  p_llmc_context_get_state(work.context, &state);
  printf("{\"weights\": %lld, \"kv_cache\": %lld, \"kv_pages\": %lld, \"arena\": %lld, \"logit_arena\": %lld, "
         "\"other\": %lld, \"total\": %lld, \"threads\": %lld, \"free_kv_pages\": %lld, \"peak_rss_bytes\": %lld, "
         "\"rss_bytes\": %lld, \"allocations\": %d, \"prompt_s\": %.6f, \"decode_s\": %.6f}\n",
         (long long)plan.weights, (long long)plan.kv_cache, (long long)plan.kv_pages, (long long)plan.arena,
         (long long)plan.logit_arena, (long long)plan.other, (long long)plan.total, (long long)plan.threads,
         (long long)state.free_kv_pages, resident("/proc/self/status", "VmHWM:"),
         resident("/proc/self/smaps_rollup", "Rss:"), work.calls, filled - start, end - filled);
  p_llmc_context_free(work.context);
  p_llmc_close(model);
  return 0;
}
