/* llmc_artifact.h: what the compiler puts into an artifact and the runtime (and `llmc inspect`) reads. Plain C11.
 *
 * File:  ELF shared object | metadata JSON | tokenizer.json | chat template | report JSON | (pad to 2 MB) | weights.
 * The ELF has an allocated note section ".note.llmc" (owner "llmc", type 1) whose description is struct llmc_artifact;
 * the symbol llmc_artifact is that description. Blob offsets are from the start of the file; the compiler patches them
 * in after linking. In a JIT there is no file: all blobs have size 0 and the weights come from memory.
 */
#ifndef LLMC_ARTIFACT_H
#define LLMC_ARTIFACT_H
#include "llmc_kernel.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { LLMC_ARTIFACT_VERSION = 1, LLMC_NOTE_TYPE = 1 };

struct llmc_blob {
  uint64_t offset, size; /* bytes, from the start of the file */
};

struct llmc_artifact {
  char magic[8];             /* "LLMCART\0" */
  uint32_t version;          /* LLMC_ARTIFACT_VERSION */
  uint32_t flags;            /* 0 */
  uint64_t file_size;        /* of the whole file */
  uint8_t build_id[16];      /* hash of code, metadata and weights checksum */
  uint64_t weights_checksum; /* of the weights, in pieces of 16 MiB (the last as short as it is): XXH3-64
                                of the array of the XXH3-64 values of the pieces, each 8 bytes, little
                                endian. In pieces, so that it needs little memory and can be parallel. */
  uint64_t text_checksum;    /* XXH3-64 of metadata, tokenizer, template and report, in file order */
  struct llmc_blob metadata, tokenizer, chat_template, report, weights;
};

/* An input or output of a plain graph. */
struct llmc_graph_value {
  const char *name;
  int64_t type, rank;         /* type: llmc_element of llmc.h */
  const int64_t *dims;        /* [rank]; -1: any */
  const char *const *symbols; /* [rank]: the name of a dim, or "" */
};

/* A model that runs as the graph it was (passes/graph), not as a decoder with a cache. */
struct llmc_graph {
  int64_t input_count, output_count;
  const struct llmc_graph_value *inputs, *outputs;
};

/* The code of a plain graph. `run` is handed to llmc_graph_alloc, _free and _fail. `inputs` and `outputs` are the
 * fields of one memref descriptor after the other: allocated, aligned, offset, sizes, strides, 8 bytes each. */
typedef void (*llmc_graph_fn)(void *run, const void *weights, int64_t weight_bytes, const int64_t *inputs,
                              int64_t *outputs);

/* Code for one CPU. */
struct llmc_variant {
  const char *target;            /* "icelake-server" */
  uint64_t features;             /* llmc::Features::raw(), bit numbers of codegen/Target.h */
  const char *feature_names;     /* "avx2, fma", for messages */
  llmc_step_fn step;             /* null in a plain graph */
  llmc_graph_fn graph;           /* null in a decoder */
  int64_t arena_row_bytes;       /* arena size = this * row capacity */
  int64_t logit_arena_row_bytes; /* logit arena size = this * logit capacity */
  int64_t logits_offset;         /* of the logits in the logit arena: logit_arena + this * logit_capacity */
  int64_t logits_stride;         /* bytes between rows of logits */
  int64_t private_bytes;         /* llmc_batch.private_arena of one thread */
  int64_t matmul_calls;          /* llmc_batch.claims */
  int64_t partial_bytes;         /* llmc_batch.partials of a row and a chunk */
};

/* Constants of the compiled model: symbol llmc_model_constants, written by lower-to-llvm. */
struct llmc_model_constants {
  int64_t vocab, layers, hidden, max_context;
  int64_t page_bytes;   /* of one KV page, all layers */
  int64_t weight_bytes; /* size of the weights blob */
  int64_t kv_bits;      /* 8, 16 or 32; the metadata has the type's name */
  int64_t variant_count;
  const struct llmc_variant *variants; /* best first */
  const struct llmc_graph *graph;      /* null in a decoder; else sizes of a decoder are 0 */
};

#ifdef __cplusplus
}
#endif
#endif
