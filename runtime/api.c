/* api.c: status, memory mapping, and the model: choosing the code and finding the weights. */
#include "internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int llmc_abi_version(void) { return LLMC_ABI_VERSION; }

const char *llmc_status_name(int status) {
  static const char names[][16] = {"ok",        "bad argument", "context full", "no memory",
                                   "wrong cpu", "bad file",     "wrong version"};
  if (status < 0 || status >= (int)(sizeof names / sizeof *names)) return "unknown";
  return names[status];
}

int llmcFail(llmc_error *error, int code, const char *format, ...) {
  if (!error) return code;
  error->code = code;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return code;
}

/* ---- memory ---- */

uint64_t llmcMapSize(uint64_t bytes, bool huge) {
  uint64_t unit = huge && bytes >= kHugePage ? kHugePage : (uint64_t)sysconf(_SC_PAGESIZE);
  return (bytes + unit - 1) / unit * unit;
}

void *llmcMap(uint64_t bytes, bool huge) {
  uint64_t size = llmcMapSize(bytes, huge);
  bool align = huge && size >= kHugePage;
  uint64_t reserved = size + (align ? kHugePage : 0);
  /* Without MAP_NORESERVE: what the machine can never give is refused here and not when it is first touched. */
  char *memory = mmap(NULL, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  if (!align) return memory;
  uint64_t head = -(uintptr_t)memory & (kHugePage - 1);
  if (head) munmap(memory, head);
  if (head != kHugePage) munmap(memory + head + size, kHugePage - head);
  madvise(memory + head, size, MADV_HUGEPAGE); /* refused where huge pages are off: then small ones serve */
  return memory + head;
}

void llmcUnmap(void *memory, uint64_t bytes, bool huge) {
  if (memory) munmap(memory, llmcMapSize(bytes, huge));
}

enum { kMpolInterleave = 3 }; /* mbind(2): by system call, without libnuma */

static bool severalNodes(uint64_t nodeMask) { return nodeMask & (nodeMask - 1); }

bool llmcInterleave(void *memory, uint64_t bytes, uint64_t nodeMask) {
  unsigned long mask[2] = {nodeMask, 0}; /* the kernel reads one bit less than it is told */
  return !severalNodes(nodeMask) || !syscall(SYS_mbind, memory, bytes, kMpolInterleave, mask, kMaxNodes + 1, 0);
}

bool llmcInterleaveThread(uint64_t nodeMask) {
  unsigned long mask[2] = {nodeMask, 0};
  return !severalNodes(nodeMask) || !syscall(SYS_set_mempolicy, kMpolInterleave, mask, kMaxNodes + 1);
}

bool llmcPopulate(void *memory, uint64_t bytes) {
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
  if (!madvise(memory, bytes, MADV_POPULATE_WRITE)) return true;
  if (errno != EINVAL) return false;
  for (uint64_t offset = 0; offset < bytes; offset += 4096) ((volatile char *)memory)[offset] = 0;
  return true;
}

/* ---- model ---- */

static int checkArtifact(llmc_error *error) {
  if (memcmp(llmc_artifact.magic, "LLMCART\0", 8))
    return llmcFail(error, LLMC_ERROR_FILE, "artifact: no magic number; the file was not written by llmc");
  if (llmc_artifact.version != LLMC_ARTIFACT_VERSION)
    return llmcFail(error, LLMC_ERROR_VERSION, "artifact: found format version %u, expected %d", llmc_artifact.version,
                    LLMC_ARTIFACT_VERSION);
  return LLMC_OK;
}

static bool runs(const struct llmc_variant *variant) { return llmcCpuFeatures(variant->features) == variant->features; }

/* "a, b" of all variants, cut at `size`. */
static void variantNames(char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (int64_t i = 0; i < llmc_model_constants.variant_count && used < size; ++i)
    used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", llmc_model_constants.variants[i].target);
}

static int failForCpu(const struct llmc_variant *variant, llmc_error *error) {
  char missing[256];
  llmcFeatureNames(variant->features & ~llmcCpuFeatures(variant->features), missing, sizeof missing);
  return llmcFail(error, LLMC_ERROR_CPU,
                  "cpu: lacks %s, which the code for %s needs; compile with --target=native on this machine", missing,
                  variant->target);
}

static int chooseVariant(const char *name, const struct llmc_variant **chosen, llmc_error *error) {
  const struct llmc_variant *variants = llmc_model_constants.variants;
  int64_t count = llmc_model_constants.variant_count;
  if (!name) name = getenv("LLMC_TARGET");
  for (int64_t i = 0; i < count; ++i) {
    if (name && *name ? strcmp(name, variants[i].target) : !runs(&variants[i])) continue;
    if (!runs(&variants[i])) return failForCpu(&variants[i], error);
    *chosen = &variants[i];
    return LLMC_OK;
  }
  if (name && *name) {
    char names[300];
    variantNames(names, sizeof names);
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "target: found '%.64s', expected one of %s", name, names);
  }
  if (!count) return llmcFail(error, LLMC_ERROR_FILE, "artifact: found code for no target, expected at least one");
  return failForCpu(&variants[count - 1], error); /* the least demanding: closest to running */
}

static int findWeights(llmc_model *model, const llmc_open_options *options, llmc_error *error) {
  uint64_t expected = (uint64_t)llmc_model_constants.weight_bytes;
  if (!options->weights) {
    int status = llmcFileOpen(&model->file, options->prefetch, error);
    if (!status) model->weights = llmcFileData(model->file) + llmc_artifact.weights.offset;
    return status;
  }
  if (options->weights_size != expected)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "weights_size: found %" PRIu64 ", expected %" PRIu64,
                    options->weights_size, expected);
  if ((uintptr_t)options->weights % kLine)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "weights: found address %p, expected a multiple of %d",
                    options->weights, kLine);
  model->weights = options->weights;
  return LLMC_OK;
}

int llmc_open(llmc_model **out, const llmc_open_options *options, llmc_error *error) {
  static const llmc_open_options defaults = {.abi_version = LLMC_ABI_VERSION};
  if (!options) options = &defaults;
  if (!out) return llmcFail(error, LLMC_ERROR_ARGUMENT, "model: found null");
  *out = NULL;
  if (options->abi_version != LLMC_ABI_VERSION)
    return llmcFail(error, LLMC_ERROR_VERSION, "abi_version: found %u, expected %d", options->abi_version,
                    LLMC_ABI_VERSION);
  if (options->prefetch > LLMC_PREFETCH_MAP)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "prefetch: found %u, expected 0 to %d", options->prefetch,
                    LLMC_PREFETCH_MAP);
  llmc_model *model = calloc(1, sizeof *model);
  if (!model) return llmcFail(error, LLMC_ERROR_NO_MEMORY, "model: found no memory for %zu bytes", sizeof *model);
  model->references = 1;
  int status = checkArtifact(error);
  if (!status) status = chooseVariant(options->target, &model->variant, error);
  if (!status) status = findWeights(model, options, error);
  if (status)
    llmc_close(model);
  else
    *out = model;
  return status;
}

void llmcRetain(llmc_model *model) { __atomic_add_fetch(&model->references, 1, __ATOMIC_RELAXED); }

void llmc_close(llmc_model *model) {
  if (!model || __atomic_sub_fetch(&model->references, 1, __ATOMIC_ACQ_REL)) return;
  llmcFileClose(model->file);
  free(model);
}

void llmc_info(const llmc_model *model, llmc_model_info *info) {
  const struct llmc_model_constants *c = &llmc_model_constants;
  *info = (llmc_model_info){
      .vocab = c->vocab,
      .layers = c->layers,
      .hidden = c->hidden,
      .max_context = c->max_context,
      .kv_bits = c->kv_bits,
      .page_positions = LLMC_PAGE_POSITIONS,
      .page_bytes = c->page_bytes,
      .weight_bytes = c->weight_bytes,
      .variants = c->variant_count,
      .target = model->variant->target,
      .features = model->variant->feature_names,
  };
  memcpy(info->build_id, llmc_artifact.build_id, sizeof info->build_id);
}

const char *llmc_variant_name(const llmc_model *model, int64_t index) {
  (void)model; /* one library holds one model */
  if (index < 0 || index >= llmc_model_constants.variant_count) return NULL;
  return llmc_model_constants.variants[index].target;
}

const char *llmc_text(const llmc_model *model, llmc_text_kind kind, size_t *size) {
  const struct llmc_blob *const blobs[] = {&llmc_artifact.metadata, &llmc_artifact.tokenizer,
                                           &llmc_artifact.chat_template, &llmc_artifact.report};
  *size = 0;
  if (!model->file || (unsigned)kind >= sizeof blobs / sizeof *blobs || !blobs[kind]->size) return NULL;
  *size = blobs[kind]->size;
  return llmcFileData(model->file) + blobs[kind]->offset;
}
