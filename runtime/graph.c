/* graph.c: runs a plain graph: checks its inputs, owns the memory of a run, and hands out what it made. */
#include "internal.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what the graph takes and gives ---- */

int64_t llmc_graph_inputs(const llmc_model *model) {
  (void)model; /* one library holds one model */
  return llmc_model_constants.graph ? llmc_model_constants.graph->input_count : -1;
}
int64_t llmc_graph_outputs(const llmc_model *model) {
  (void)model;
  return llmc_model_constants.graph ? llmc_model_constants.graph->output_count : -1;
}

static int failForDecoder(llmc_error *error) {
  return llmcFail(error, LLMC_ERROR_ARGUMENT,
                  "model: found a decoder, expected a plain graph; use llmc_context_create");
}

static int describe(const struct llmc_graph_value *values, int64_t count, int64_t index, llmc_value_info *info,
                    llmc_error *error) {
  if (index < 0 || index >= count)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "index: found %" PRId64 ", expected 0 to %" PRId64, index, count - 1);
  const struct llmc_graph_value *v = &values[index];
  memset(info, 0, sizeof *info);
  info->name = v->name, info->type = (int32_t)v->type, info->rank = (int32_t)v->rank;
  for (int64_t i = 0; i < v->rank; ++i) info->dims[i] = v->dims[i], info->symbols[i] = v->symbols[i];
  return LLMC_OK;
}
int llmc_graph_input(const llmc_model *model, int64_t index, llmc_value_info *info, llmc_error *error) {
  (void)model;
  const struct llmc_graph *g = llmc_model_constants.graph;
  return g ? describe(g->inputs, g->input_count, index, info, error) : failForDecoder(error);
}
int llmc_graph_output(const llmc_model *model, int64_t index, llmc_value_info *info, llmc_error *error) {
  (void)model;
  const struct llmc_graph *g = llmc_model_constants.graph;
  return g ? describe(g->outputs, g->output_count, index, info, error) : failForDecoder(error);
}

/* ---- memory of a run ---- */

struct Block {
  struct Block *next, *previous;
  uint64_t bytes;
  char padding[kLine - 3 * 8];
};

/* While it runs; afterwards, its outputs. */
struct llmc_graph_result {
  struct Block blocks; /* head of a ring */
  uint64_t live, most; /* bytes of all blocks; what the machine has */
  jmp_buf out;
  int status;
  char message[512];
  int64_t count;
  llmc_tensor *outputs;
};

static void __attribute__((noreturn)) stop(struct llmc_graph_result *run, int status) {
  run->status = status;
  longjmp(run->out, 1);
}

void llmc_graph_fail(void *opaque, const char *message) {
  struct llmc_graph_result *run = opaque;
  snprintf(run->message, sizeof run->message, "%s", message);
  stop(run, LLMC_ERROR_ARGUMENT);
}

static void *allocate(struct llmc_graph_result *run, uint64_t bytes) {
  uint64_t whole = (bytes + kLine - 1) / kLine * kLine + sizeof(struct Block);
  struct Block *block = whole > run->most - run->live ? NULL : aligned_alloc(kLine, whole);
  if (!block) {
    snprintf(run->message, sizeof run->message,
             "found no memory for a tensor of %" PRIu64 " bytes, besides %" PRIu64 " that are in use", bytes,
             run->live);
    stop(run, LLMC_ERROR_NO_MEMORY);
  }
  block->bytes = whole;
  run->live += whole;
  block->next = run->blocks.next, block->previous = &run->blocks;
  block->next->previous = block, run->blocks.next = block;
  return block + 1;
}

void *llmc_graph_alloc(void *opaque, int64_t bytes, int64_t d0, int64_t d1, int64_t d2, int64_t d3, int64_t d4,
                       int64_t d5, int64_t d6, int64_t d7) {
  struct llmc_graph_result *run = opaque;
  const int64_t dims[] = {d0, d1, d2, d3, d4, d5, d6, d7};
  const size_t count = sizeof dims / sizeof *dims;
  uint64_t total = (uint64_t)bytes;
  bool isEmpty = false, isHuge = false;
  for (size_t i = 0; i < count; ++i) {
    if (dims[i] < 0) {
      snprintf(run->message, sizeof run->message, "found a tensor with a dim of %" PRId64 ", expected 0 or more",
               dims[i]);
      stop(run, LLMC_ERROR_ARGUMENT);
    }
    isEmpty |= dims[i] == 0;
    if (dims[i] && __builtin_mul_overflow(total, (uint64_t)dims[i], &total)) isHuge = true;
  }
  if (isEmpty) return allocate(run, 0);
  return allocate(run, isHuge || total > UINT64_MAX / 2 ? UINT64_MAX / 2 : total);
}

void llmc_graph_free(void *opaque, void *memory) {
  struct llmc_graph_result *run = opaque;
  struct Block *block = (struct Block *)memory - 1;
  run->live -= block->bytes;
  block->next->previous = block->previous, block->previous->next = block->next;
  free(block);
}

void llmc_graph_result_free(llmc_graph_result *run) {
  if (!run) return;
  while (run->blocks.next != &run->blocks) llmc_graph_free(run, run->blocks.next + 1);
  free(run->outputs);
  free(run);
}

static bool owns(const struct llmc_graph_result *run, const void *memory) {
  for (const struct Block *b = run->blocks.next; b != &run->blocks; b = b->next)
    if (b + 1 == memory) return true;
  return false;
}

/* ---- inputs ---- */

/* "f32 [batch, 3]", cut at `size`. */
static void typeText(char *text, size_t size, int32_t type, int64_t rank, const int64_t *dims,
                     const char *const *symbols) {
  const char *name = llmc_element_name(type);
  size_t used = (size_t)snprintf(text, size, "%s [", name ? name : "unknown elements");
  for (int64_t i = 0; i < rank && used < size; ++i) {
    const char *separator = i ? ", " : "";
    if (dims[i] >= 0)
      used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, separator, dims[i]);
    else
      used += (size_t)snprintf(text + used, size - used, "%s%.40s", separator,
                               symbols && symbols[i] && *symbols[i] ? symbols[i] : "?");
  }
  if (used < size) snprintf(text + used, size - used, "]");
}

static int checkInput(const struct llmc_graph_value *v, const llmc_tensor *t, llmc_error *error) {
  bool fits = t->type == v->type && t->rank == v->rank;
  uint64_t count = 1;
  for (int64_t i = 0; fits && i < v->rank; ++i) {
    fits = t->dims[i] >= 0 && (v->dims[i] < 0 || v->dims[i] == t->dims[i]);
    if (__builtin_mul_overflow(count, (uint64_t)t->dims[i], &count)) fits = false;
  }
  if (!fits) {
    char found[200], expected[200];
    int64_t shown = t->rank < 0 ? 0 : t->rank > LLMC_MOST_DIMS ? LLMC_MOST_DIMS : t->rank;
    typeText(found, sizeof found, t->type, shown, t->dims, NULL);
    typeText(expected, sizeof expected, (int32_t)v->type, v->rank, v->dims, v->symbols);
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "input '%.60s': found %s, expected %s", v->name, found, expected);
  }
  if (count && !t->data) return llmcFail(error, LLMC_ERROR_ARGUMENT, "input '%.60s': found null data", v->name);
  for (uint64_t i = 0; v->type == LLMC_BOOL && i < count; ++i)
    if (((const unsigned char *)t->data)[i] > 1)
      return llmcFail(error, LLMC_ERROR_ARGUMENT, "input '%.60s': found a bool of %d, expected 0 or 1", v->name,
                      ((const unsigned char *)t->data)[i]);
  return LLMC_OK;
}

/* The fields of the descriptors of all inputs; null if there is no memory. */
static int64_t *describeInputs(const struct llmc_graph *g, const llmc_tensor *inputs) {
  size_t fields = 1;
  for (int64_t i = 0; i < g->input_count; ++i) fields += 3 + 2 * (size_t)g->inputs[i].rank;
  int64_t *all = calloc(fields, sizeof *all), *at = all;
  for (int64_t i = 0; all && i < g->input_count; ++i) {
    int64_t rank = g->inputs[i].rank, stride = 1;
    at[0] = at[1] = (int64_t)(uintptr_t)inputs[i].data;
    for (int64_t d = rank - 1; d >= 0; --d) {
      at[3 + d] = inputs[i].dims[d], at[3 + rank + d] = stride;
      stride *= inputs[i].dims[d];
    }
    at += 3 + 2 * rank;
  }
  return all;
}

/* ---- outputs ---- */

static size_t outputFields(const struct llmc_graph *g) {
  size_t fields = 1;
  for (int64_t i = 0; i < g->output_count; ++i) fields += 3 + 2 * (size_t)g->outputs[i].rank;
  return fields;
}

/* Frees what is no output, and copies outputs that are inputs, weights or another output. */
static void keepOutputs(struct llmc_graph_result *run, const struct llmc_graph *g, const int64_t *at) {
  for (int64_t i = 0; i < g->output_count; ++i) {
    llmc_tensor *t = &run->outputs[i];
    int64_t rank = g->outputs[i].rank, bytes = llmc_element_bytes((int32_t)g->outputs[i].type), count = 1;
    t->type = (int32_t)g->outputs[i].type, t->rank = (int32_t)rank;
    for (int64_t d = 0; d < rank; ++d) count *= t->dims[d] = at[3 + d];
    const char *allocated = (const char *)(uintptr_t)at[0], *data = (const char *)(uintptr_t)at[1] + at[2] * bytes;
    bool isOwn = data == allocated && owns(run, allocated);
    for (int64_t j = 0; j < i; ++j) isOwn &= run->outputs[j].data != data;
    if (isOwn) {
      t->data = data;
    } else {
      void *copy = allocate(run, (uint64_t)(count * bytes));
      if (count) memcpy(copy, data, (size_t)(count * bytes));
      t->data = copy;
    }
    at += 3 + 2 * rank;
  }
  for (struct Block *b = run->blocks.next, *next; b != &run->blocks; b = next) {
    next = b->next;
    bool isOutput = false;
    for (int64_t i = 0; i < run->count; ++i) isOutput |= run->outputs[i].data == (const void *)(b + 1);
    if (!isOutput) llmc_graph_free(run, b + 1);
  }
}

static void execute(struct llmc_graph_result *run, const llmc_model *model, const int64_t *inputs, int64_t *outputs) {
  const struct llmc_graph *g = llmc_model_constants.graph;
  if (setjmp(run->out)) return;
  model->variant->graph(run, model->weights, llmc_model_constants.weight_bytes, inputs, outputs);
  keepOutputs(run, g, outputs);
}

int llmc_graph_run(llmc_model *model, const llmc_tensor *inputs, int64_t count, llmc_graph_result **result,
                   llmc_error *error) {
  const struct llmc_graph *g = llmc_model_constants.graph;
  *result = NULL;
  if (!g) return failForDecoder(error);
  if (count != g->input_count)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "inputs: found %" PRId64 ", expected %" PRId64, count, g->input_count);
  for (int64_t i = 0; i < count; ++i) {
    int status = checkInput(&g->inputs[i], &inputs[i], error);
    if (status) return status;
  }
  struct llmc_graph_result *run = calloc(1, sizeof *run);
  int64_t *in = describeInputs(g, inputs), *out = calloc(outputFields(g), sizeof *out);
  if (run) run->outputs = calloc((size_t)g->output_count + 1, sizeof *run->outputs);
  if (!run || !run->outputs || !in || !out) {
    if (run) free(run->outputs);
    free(run), free(in), free(out);
    return llmcFail(error, LLMC_ERROR_NO_MEMORY, "run: found no memory for its outputs");
  }
  run->blocks.next = run->blocks.previous = &run->blocks;
  run->count = g->output_count;
  run->most = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);
  execute(run, model, in, out);
  free(in), free(out);
  if (run->status) {
    int status = llmcFail(error, run->status, "%s", run->message);
    llmc_graph_result_free(run);
    return status;
  }
  *result = run;
  return LLMC_OK;
}

const llmc_tensor *llmc_graph_result_output(const llmc_graph_result *result, int64_t index) {
  return index >= 0 && index < result->count ? &result->outputs[index] : NULL;
}
