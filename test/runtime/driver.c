/* driver.c: the smallest user of an artifact: greedy tokens after a prompt of token ids, with llmc.h and dlopen alone.
 * driver MODEL.so COUNT ID... */
#include "llmc.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* clang-format off */
#define FUNCTIONS(X) \
  X(llmc_abi_version) X(llmc_open) X(llmc_close) X(llmc_info) X(llmc_context_create) X(llmc_context_free) \
  X(llmc_sequence_create) X(llmc_step) X(llmc_logits) X(llmc_sampler_create) X(llmc_sample) X(llmc_sampler_free)
/* clang-format on */
#define DECLARE(name) static __typeof__(name) *p_##name;
FUNCTIONS(DECLARE)
#define LOAD(name)                                                                                                     \
  if (!(*(void **)&p_##name = dlsym(library, #name))) return fprintf(stderr, "%s\n", dlerror()), 1;

static llmc_error error;

static void check(int status) {
  if (!status) return;
  fprintf(stderr, "driver: %s\n", error.message);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc < 4) return fprintf(stderr, "usage: driver MODEL.so COUNT ID...\n"), 2;
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return fprintf(stderr, "driver: %s\n", dlerror()), 1;
  FUNCTIONS(LOAD)
  if (p_llmc_abi_version() != LLMC_ABI_VERSION) return fprintf(stderr, "driver: another ABI version\n"), 1;

  llmc_model *model;
  llmc_context *context;
  llmc_sampler *sampler;
  llmc_model_info info;
  int count = atoi(argv[2]), prompt = argc - 3;
  int32_t sequence, *tokens = calloc(prompt, sizeof *tokens), *sequences = calloc(prompt, sizeof *sequences);
  for (int i = 0; i < prompt; ++i) tokens[i] = atoi(argv[3 + i]);

  check(p_llmc_open(&model, NULL, &error));
  p_llmc_info(model, &info);
  llmc_context_options options = {.max_batch_rows = prompt, .max_positions = prompt + count};
  check(p_llmc_context_create(&context, model, &options, &error));
  check(p_llmc_sequence_create(context, &sequence, &error)); /* the first one is 0, as `sequences` says */
  check(p_llmc_sampler_create(&sampler, info.vocab, NULL, &error));
  llmc_step_input input = {.n = prompt, .tokens = tokens, .sequences = sequences};
  for (int i = 0; i < count; ++i, input.n = 1) {
    check(p_llmc_step(context, &input, &error));
    tokens[0] = p_llmc_sample(sampler, p_llmc_logits(context, 0));
    printf("%d%c", tokens[0], i + 1 < count ? ' ' : '\n');
  }
  p_llmc_sampler_free(sampler);
  p_llmc_context_free(context);
  p_llmc_close(model);
  free(tokens);
  free(sequences);
  return dlclose(library);
}
