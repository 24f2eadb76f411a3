/* llmc_kernel.h: what a compiled step and its kernels read and write. Plain C11; the compiler, the runtime, the
 * emitters and the kernel tests all use these structs, so a field has one offset everywhere.
 *
 * Terms. rows: the tokens of one step, M. A row belongs to one sequence and has a position in it; rows of one
 * sequence are contiguous and in ascending position. unit: the piece of work that is never split between threads;
 * each kernel says what its unit is. A kernel works on units [begin, end). Buffers are 64-byte aligned, and every
 * row stride is a constant of the kernel's descriptor (a multiple of 64 bytes), not an argument.
 */
#ifndef LLMC_KERNEL_H
#define LLMC_KERNEL_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Positions per KV page, and per chunk of attention; powers of two. Steps of few rows
 * (LLMC_FEW_ROWS) share the chunks of a row among threads. */
enum { LLMC_PAGE_POSITIONS = 64, LLMC_CHUNK_POSITIONS = 256 };

/* Steps of up to this many rows read the weights once in registers (decode); larger ones work in blocks (prefill).
 * Row formats, replicated rows and the split of work may differ between the two. */
enum { LLMC_FEW_ROWS = 6 };
/* Up to here unpacking weights in registers for each block of rows costs less than widening them once. */
enum { LLMC_MEDIUM_ROWS = 31 };

/* Each kernel: a function of one of the argument structs below. */
typedef void (*llmc_kernel_fn)(const void *args);

/* How a step deals its work to the threads.
 * few: up to LLMC_FEW_ROWS rows. Matmuls by panels; what works row by row and is cheap is done by every thread for
 * itself, into memory of its own (private_arena), which saves a barrier. tiles: matmuls by panels and chunks of rows,
 * all else by rows. rows: everything by rows but attention, the same rows to the same thread. */
enum { LLMC_MODE_FEW, LLMC_MODE_TILES, LLMC_MODE_ROWS };

/* One ragged batch, constant during a step. */
struct llmc_batch {
  int64_t rows;                      /* tokens in this step, 1..capacity */
  int64_t capacity;                  /* rows that the arena was planned for */
  const int32_t *tokens;             /* [rows] token ids, each 0..vocab-1 */
  const int32_t *positions;          /* [rows] position of the row in its sequence, 0-based */
  const int32_t *sequences;          /* [rows] index into page_tables and lengths */
  const int32_t *lengths;            /* [sequences] positions in the sequence once this step is done */
  const int32_t *const *page_tables; /* [sequences][pages] page index in the pool for positions 64i..64i+63 */
  const int32_t *logit_rows;         /* [logit_count] rows whose logits are wanted, ascending */
  int64_t logit_count;               /* 0..rows */
  char *pages;                       /* KV pool: page p starts at pages + p * page_bytes (a constant of the model) */
  char *arena;                       /* intermediate values, planned per row: value v is at
                                        arena + offset(v) * capacity, its row r at + r * stride(v) */
  char *logit_arena;                 /* the same for values that have logit_count rows, with logit_capacity */
  int64_t logit_capacity;
  int64_t mode, logit_mode; /* LLMC_MODE_*, of calls on rows and on logit rows; the latter is never rows */
  char *private_arena;      /* thread t's copies of values that every thread computes for itself (mode few): value v
                               at + t * private_bytes + private_offset(v) * rows */
  int64_t private_bytes;    /* of one thread */
  char *claims;             /* [matmul calls] 64 bytes each, zero when the step starts: panels claimed (mode few) */
  const char *weights;      /* packed weights, 2 MB aligned */
  int64_t longest;          /* of the lengths of the step's sequences */
  int64_t lone_rows;        /* not 0: every row is the only one of its sequence */
  char *partials; /* scratch of attention for the first LLMC_FEW_ROWS rows: llmc_variant.partial_bytes for each
                     of them and each chunk of the longest sequence that the context allows */
  void *barrier;  /* struct llmc_barrier of the runtime */
  void *best;     /* struct llmcBest of the runtime, which lists the most likely tokens; null if logits are wanted */
};

/* Matmul: y[r, n] = sum_k x[r, k] * W[n, k] (+ bias[n]) (+ y[r, n]). unit: a panel of 64 output columns. */
struct llmc_matmul_args {
  int64_t begin, end; /* panels */
  int64_t rows;       /* M >= 1 */
  const void *x;      /* [rows][x stride] f32 rows, or q8 rows (see below) */
  const void *w;      /* packed weight: panel 0 */
  const float *bias;  /* [N rounded up to 64] or null when the descriptor has no bias */
  float *y;           /* [rows][y stride]; N rounded up to 64 columns are written */
};

/* A matmul call of a step: what llmc_step_panels deals to the threads. begin, end and rows are its own. */
struct llmc_panels {
  struct llmc_matmul_args args; /* of all panels and rows; begin and end are not read */
  llmc_kernel_fn kernel;        /* for args.rows */
  int64_t panels, panel_bytes;  /* of the weight */
  int64_t x_stride, y_stride;   /* of that kernel's descriptor */
  void *claimed;                /* this call's part of llmc_batch.claims */
  void *best;                   /* llmc_batch.best if y are the step's logits, else null */
};

/* Row counts that a matmul has kernels of its own for. */
enum { LLMC_ROW_CLASSES = 4 };

/* The matmuls of a mixture of experts: what llmc_step_experts deals to the threads. Rows are sorted by expert; expert e
 * multiplies rows [first[e], first[e + 1]) of x by its own weight, those of the experts lie behind each other. Experts
 * without rows cost nothing, their weights are not read. begin, end and rows are its own. */
struct llmc_experts {
  struct llmc_matmul_args args; /* of all rows and the first expert; no bias */
  const int32_t *first;         /* [experts + 1] */
  int64_t experts, panels;      /* panels: of one expert */
  int64_t panel_bytes, x_stride, y_stride;
  llmc_kernel_fn kernels[LLMC_ROW_CLASSES]; /* kernels[i] serves up to most_rows[i] rows, ascending; the last any */
  int64_t most_rows[LLMC_ROW_CLASSES];
  void *claimed; /* this call's part of llmc_batch.claims */
};

/* Rowwise kernels. unit: a row, or where the op says so a part of one. The meaning of x, w, b and y is the op's
 * (codegen/kernels/rowwise/README.md). */
struct llmc_rowwise_args {
  int64_t begin, end;
  const struct llmc_batch *batch;
  const void *x; /* main input */
  const void *w; /* weight, table or second input; null where the op has none */
  void *y;       /* output; may equal x where the op's document allows it */
  const void *b; /* bias or third input; not read where the op has none */
};

/* KV append: stores k, rotated, and v in the cache. unit: a row. */
struct llmc_kv_append_args {
  int64_t begin, end;
  const struct llmc_batch *batch;
  const float *qkv;     /* [rows][qkv stride]: heads*D of q, kv_heads*D of k, kv_heads*D of v */
  const float *rope;    /* [rows][rope stride]: rope_dim/2 cosines, then rope_dim/2 sines; null without rope */
  int64_t layer_offset; /* of this layer's part of a page, bytes */
};

/* Attention over the paged cache: units begin, begin+step, ... below end. A thread takes every step-th, so that units
 * of ascending cost are shared evenly. unit, by phase:
 *   rows:   (kv head, block of row_block rows), u = head * blocks + b; y. In odd heads blocks are counted from the last
 *   chunks: (row, kv head, chunk), u = (row * kv_heads + head) * chunks + c; the row's part of the chunk -> partials.
 *           All units are done by calls with begin = 0..step-1 and one `end`; a kernel may deal them in another way
 *   merge:  (row, kv head), u = row * kv_heads + head; partials -> y
 * Either `rows` for all units, or, if the step has at most LLMC_FEW_ROWS rows, `chunks` for all units and `merge`
 * once all threads are done with that; y is the same bit by bit. */
enum { LLMC_ATTENTION_ROWS = 0, LLMC_ATTENTION_CHUNKS = 1, LLMC_ATTENTION_MERGE = 2 };
struct llmc_attention_args {
  int64_t begin, end;
  const struct llmc_batch *batch;
  int64_t step;
  const float *qkv;     /* as above; q is rotated by the kernel */
  const float *rope;    /* as above */
  const float *sinks;   /* [heads] logits; null without sinks */
  void *y;              /* [rows][y stride]: heads*D, in the descriptor's row format */
  int64_t layer_offset; /* of this layer's part of a page, bytes */
  int64_t phase;
  int64_t row_block;
  int64_t chunks; /* of the longest row: batch->longest / LLMC_CHUNK_POSITIONS, rounded up */
  int64_t append; /* not 0 (lone_rows only): the kernel stores the k and v of its rows first; nobody called kv_append */
};

/* The compiled step: called by every thread of the team with its index; returns when the step is done. */
typedef void (*llmc_step_fn)(const struct llmc_batch *batch, int64_t thread, int64_t threads);

#ifdef __cplusplus
}
#endif
#endif
