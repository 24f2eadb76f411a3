/* llmc.h: the C ABI of a compiled model. Each artifact (.so) exports these functions; so does a model in the JIT.
 *
 *   llmc_open(&model, NULL, &error);                 map the weights, choose the code for this CPU
 *   llmc_context_create(&context, model, &options, &error);   all memory and all threads of one user of the model
 *   llmc_sequence_create(context, &sequence, &error);
 *   llmc_step(context, &input, &error);              any mix of prompt chunks and single tokens, of any sequences
 *   token = llmc_sample(sampler, llmc_logits(context, 0));     or, cheaper, input.best and llmc_sample_best
 *
 * Status.    Functions that can fail return LLMC_OK (0) or an error code, and fill `error` if it is not null; a failed
 *            call changes nothing. Messages read "found X, expected Y".
 *
 * Threads.   A model may be used by any number of threads at once. A context (with its sequences and logits) and a
 *            sampler belong to one caller at a time; different contexts run at the same time. After fork(2) a child
 *            must not use a context.
 *
 * Ownership. What llmc_*_create or llmc_open made is freed by the caller with the function named beside it; freeing
 *            null does nothing. Pointers in options are read during the call only, unless said otherwise. Sizes
 *            are bytes.
 *
 * Version.   Structs and functions are fixed for one LLMC_ABI_VERSION; a caller that loads artifacts with dlopen
 *            compares llmc_abi_version() with the LLMC_ABI_VERSION it was compiled with before anything else.
 */
#ifndef LLMC_H
#define LLMC_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LLMC_ABI_VERSION 2

/* The runtime itself defines the functions as protected: exported, never replaced by another artifact's. */
#ifdef LLMC_BUILD_RUNTIME
#define LLMC_API __attribute__((visibility("protected")))
#else
#define LLMC_API
#endif

typedef enum llmc_status {
  LLMC_OK = 0,
  LLMC_ERROR_ARGUMENT = 1,     /* an argument is outside what its description allows */
  LLMC_ERROR_CONTEXT_FULL = 2, /* no room for more positions or sequences: truncate, free, or make a larger context */
  LLMC_ERROR_NO_MEMORY = 3,    /* the system gave no memory or no thread */
  LLMC_ERROR_CPU = 4,          /* the artifact has no code for this CPU; the message names the missing features */
  LLMC_ERROR_FILE = 5,         /* the artifact's file is unreadable, truncated, replaced or inconsistent */
  LLMC_ERROR_VERSION = 6       /* ABI or artifact version that this runtime does not speak */
} llmc_status;

/* Where a failed call says why. Given by the caller, may be null everywhere. */
typedef struct llmc_error {
  int code;          /* llmc_status */
  char message[512]; /* lower case, no full stop, zero-terminated */
} llmc_error;

typedef struct llmc_model llmc_model;
typedef struct llmc_context llmc_context;
typedef struct llmc_sampler llmc_sampler;

/* LLMC_ABI_VERSION that the artifact was built with. */
LLMC_API int llmc_abi_version(void);
/* "context full" for LLMC_ERROR_CONTEXT_FULL; "unknown" for other numbers. Static. */
LLMC_API const char *llmc_status_name(int status);

/* ---- model ---- */

typedef enum llmc_prefetch {
  LLMC_PREFETCH_AUTO = 0, /* a thread reads and maps the weights while other work starts */
  LLMC_PREFETCH_NONE = 1, /* pages come in as they are used */
  LLMC_PREFETCH_MAP = 2   /* llmc_open returns when all weights are in memory and mapped (no page faults later) */
} llmc_prefetch;

/* Zero-initialise, then set abi_version. Null options are all defaults. */
typedef struct llmc_open_options {
  uint32_t abi_version;  /* LLMC_ABI_VERSION */
  uint32_t prefetch;     /* llmc_prefetch */
  const char *target;    /* use the code for this target ("x86-64-v3"); null: environment LLMC_TARGET, else the first
                            that this CPU can run. It is an error if the CPU cannot run it */
  const void *weights;   /* weights in memory (JIT), 64-byte aligned, kept by the caller until the model is gone;
                            null: the weights of the artifact's own file */
  uint64_t weights_size; /* of `weights` */
} llmc_open_options;

/* Opens the model that this library holds: checks its file, maps the weights read-only and chooses the code. Free with
 * llmc_close. Errors: CPU, FILE, VERSION, NO_MEMORY, ARGUMENT (unknown target name, size or alignment of weights). */
LLMC_API int llmc_open(llmc_model **model, const llmc_open_options *options, llmc_error *error);
/* The memory goes away when the last context of the model is freed too. */
LLMC_API void llmc_close(llmc_model *model);

typedef struct llmc_model_info {
  int64_t vocab; /* token ids are 0..vocab-1 */
  int64_t layers, hidden;
  int64_t max_context;    /* positions of one sequence */
  int64_t kv_bits;        /* of one cached value: 8, 16 or 32 */
  int64_t page_positions; /* positions of one cache page (64) */
  int64_t page_bytes;     /* of one cache page, all layers */
  int64_t weight_bytes;
  int64_t variants;     /* CPUs that the artifact has code for */
  const char *target;   /* the one chosen: "znver5"; lives as long as the model */
  const char *features; /* that it uses: "avx2, fma" */
  uint8_t build_id[16]; /* of the artifact; 0 in a JIT */
} llmc_model_info;

LLMC_API void llmc_info(const llmc_model *model, llmc_model_info *info);
/* Target name of code variant `index` (best first), or null past the last. */
LLMC_API const char *llmc_variant_name(const llmc_model *model, int64_t index);

typedef enum llmc_text_kind {
  LLMC_TEXT_METADATA = 0,  /* JSON */
  LLMC_TEXT_TOKENIZER = 1, /* tokenizer.json */
  LLMC_TEXT_CHAT_TEMPLATE = 2,
  LLMC_TEXT_REPORT = 3 /* JSON of the compile report */
} llmc_text_kind;

/* A text stored in the artifact: not zero-terminated, lives as long as the model. Null and size 0 if there is none (in
 * a JIT there is never one). */
LLMC_API const char *llmc_text(const llmc_model *model, llmc_text_kind kind, size_t *size);

/* ---- context ---- */

/* Limits of a context; all memory follows from them. 0 takes the default. */
typedef struct llmc_context_options {
  int64_t max_batch_rows; /* tokens in one step; default 512, or max_positions if that is less */
  int64_t max_logit_rows; /* tokens in one step whose logits are wanted; default max_sequences, <= max_batch_rows */
  int64_t max_positions;  /* cached tokens over all sequences; default the smaller of 4096 and max_context */
  int64_t max_sequences;  /* alive at one time; default 1 */
  int64_t threads;        /* 1..1024; default: one for each core that is worth it, at most the
                             cgroup's CPU quota (runtime/README.md) */
  uint32_t pin;           /* 0: pin threads to CPUs if there is one for every core; 1: always; 2: never */
  uint32_t populate;      /* 1: touch all memory now (it is otherwise zero-filled when first used) */
} llmc_context_options;

/* What a context takes: exactly the bytes that llmc_context_create maps. */
typedef struct llmc_memory_plan {
  int64_t arena;       /* intermediate values of max_batch_rows rows; threads' own copies of some */
  int64_t logit_arena; /* logits and the values before them, of max_logit_rows rows */
  int64_t kv_cache;
  int64_t other;    /* page tables, batch description, thread stacks */
  int64_t total;    /* the sum of the four */
  int64_t weights;  /* of the model, shared by its contexts and, through the page cache, by processes; not in total */
  int64_t kv_pages; /* pages of 64 positions in the cache */
  int64_t threads;  /* that the context will have */
} llmc_memory_plan;

/* What llmc_context_create with the same arguments will map. Null options are all defaults. Errors: ARGUMENT. */
LLMC_API int llmc_plan(const llmc_model *model, const llmc_context_options *options, llmc_memory_plan *plan,
                       llmc_error *error);
/* Maps all memory and starts the threads (threads-1: the caller of llmc_step is one of the team). Free with
 * llmc_context_free. Errors: ARGUMENT, NO_MEMORY. */
LLMC_API int llmc_context_create(llmc_context **context, llmc_model *model, const llmc_context_options *options,
                                 llmc_error *error);
LLMC_API void llmc_context_free(llmc_context *context);

typedef struct llmc_context_state {
  int64_t threads;
  int64_t sequences;     /* alive */
  int64_t kv_pages;      /* in the pool */
  int64_t free_kv_pages; /* not used by any sequence */
} llmc_context_state;
LLMC_API void llmc_context_get_state(const llmc_context *context, llmc_context_state *state);
/* How threads and memory were placed and why, for people: lines with a newline each, zero-terminated, cut at `size`.
 * Returns the length of the whole. */
LLMC_API size_t llmc_context_describe(const llmc_context *context, char *text, size_t size);

/* ---- sequences ----
 * A sequence is a list of tokens whose keys and values are cached, in pages of 64 positions. Ids are 0..max_sequences-1
 * and are used again after llmc_sequence_free. As long as the lengths of all sequences add up to at most max_positions,
 * pages cannot run out, whatever the mix; shared pages leave room for more. */

/* A new empty sequence. Errors: CONTEXT_FULL (max_sequences are alive). */
LLMC_API int llmc_sequence_create(llmc_context *context, int32_t *sequence, llmc_error *error);
/* A new sequence with the same tokens as `source`. Pages are shared; a page is copied when one of its owners first
 * writes to it. Errors: ARGUMENT, CONTEXT_FULL (max_sequences). */
LLMC_API int llmc_sequence_fork(llmc_context *context, int32_t source, int32_t *sequence, llmc_error *error);
/* Gives back its pages. Errors: ARGUMENT (no such sequence). */
LLMC_API int llmc_sequence_free(llmc_context *context, int32_t sequence, llmc_error *error);
/* Tokens in the sequence, or -1 if there is no such sequence. */
LLMC_API int64_t llmc_sequence_length(const llmc_context *context, int32_t sequence);
/* Forgets the tokens from `length` on; 0 <= length <= current length. Errors: ARGUMENT. */
LLMC_API int llmc_sequence_truncate(llmc_context *context, int32_t sequence, int64_t length, llmc_error *error);

/* ---- step ---- */

/* Tokens to append. Tokens of one sequence are appended in the order given; sequences may be mixed in any order. */
typedef struct llmc_step_input {
  int64_t n;                  /* 1..max_batch_rows */
  const int32_t *tokens;      /* [n] ids, each 0..vocab-1 */
  const int32_t *sequences;   /* [n] the sequence of each token */
  const uint8_t *want_logits; /* [n] nonzero: compute the logits after this token; at most max_logit_rows of them.
                                 Null: those of the last token of each sequence in this step */
  int64_t best;               /* 0: llmc_logits. 1..LLMC_MOST_BEST: instead of all logits, this many of the most likely
                                 tokens, found while the logits are made: llmc_best */
} llmc_step_input;

enum { LLMC_MOST_BEST = 64 };

/* A token that may come next. */
typedef struct llmc_candidate {
  float logit;
  int32_t token;
} llmc_candidate;

/* Appends the tokens and computes the wanted logits. Everything is checked before anything changes. No memory is
 * allocated and no lock is taken. Errors: ARGUMENT; CONTEXT_FULL (a sequence would be longer than max_context, or there
 * are too few pages). */
LLMC_API int llmc_step(llmc_context *context, const llmc_step_input *input, llmc_error *error);
/* Number of rows of logits that the last step computed. */
LLMC_API int64_t llmc_logit_count(const llmc_context *context);
/* Logits [vocab] after the i-th token (in the order of the input) for which they were wanted; null if there is none, or
 * if the step was asked for the best tokens instead.
 * Valid until the next step of the context; the caller may overwrite them. */
LLMC_API float *llmc_logits(const llmc_context *context, int64_t i);
/* The `best` most likely tokens after the i-th token for which logits were wanted: the highest logit first, of equal
 * ones the lowest token; NaN and -inf are left out, so *count may be less. Null if there is none, or if the step was
 * not asked for them. Valid until the next step of the context. */
LLMC_API const llmc_candidate *llmc_best(const llmc_context *context, int64_t i, int64_t *count);

/* ---- sampler ---- */

typedef struct llmc_sampler_options {
  float temperature; /* 0: the most likely token, the lowest id on ties; else logits are divided by it */
  float top_p;       /* in (0, 1]: the fewest most likely tokens whose probabilities add up to it; 0 or 1: all */
  int64_t top_k;     /* only the k most likely tokens, before top_p; 0: all */
  uint64_t seed;     /* same seed, same logits: same tokens, on any machine */
} llmc_sampler_options;

/* Null options: temperature 0. Free with llmc_sampler_free. Errors: ARGUMENT, NO_MEMORY. */
LLMC_API int llmc_sampler_create(llmc_sampler **sampler, int64_t vocab, const llmc_sampler_options *options,
                                 llmc_error *error);
LLMC_API void llmc_sampler_free(llmc_sampler *sampler);
/* Draws a token id from logits [vocab]; allocates nothing. NaN and -inf are never chosen; -1 if nothing else is there.
 */
LLMC_API int32_t llmc_sample(llmc_sampler *sampler, const float *logits);
/* How many of the best tokens are all that this sampler looks at, at most LLMC_MOST_BEST; 0: it needs all logits. */
LLMC_API int64_t llmc_sampler_best(const llmc_sampler *sampler);
/* The token that llmc_sample would draw from the logits that `best` is the top of, [count] in the order of llmc_best;
 * count >= llmc_sampler_best(sampler) > 0, or all there are. -1 if count is 0 or the sampler needs all logits. */
LLMC_API int32_t llmc_sample_best(llmc_sampler *sampler, const llmc_candidate *best, int64_t count);

/* ---- plain graphs ----
 * A model that is no decoder, or of which not every node was recognised, is compiled as the graph it is: tensors in,
 * tensors out, one thread, no cache between calls. llmc_context_create refuses such a model, and these functions refuse
 * a decoder. */

/* Element types, numbered as in ONNX. In memory elements lie one behind the other; 4-bit integers and floats of 4 and 8
 * bits take a byte each (the integer's value, or the float's bits), booleans a byte that is 0 or 1. */
typedef enum llmc_element {
  LLMC_F32 = 1,
  LLMC_U8 = 2,
  LLMC_I8 = 3,
  LLMC_U16 = 4,
  LLMC_I16 = 5,
  LLMC_I32 = 6,
  LLMC_I64 = 7,
  LLMC_BOOL = 9,
  LLMC_F16 = 10,
  LLMC_F64 = 11,
  LLMC_U32 = 12,
  LLMC_U64 = 13,
  LLMC_BF16 = 16,
  LLMC_F8E4M3FN = 17,
  LLMC_F8E4M3FNUZ = 18,
  LLMC_F8E5M2 = 19,
  LLMC_F8E5M2FNUZ = 20,
  LLMC_U4 = 21,
  LLMC_I4 = 22,
  LLMC_F4E2M1 = 23,
  LLMC_F8E8M0 = 24,
  LLMC_U2 = 25,
  LLMC_I2 = 26
} llmc_element;

enum { LLMC_MOST_DIMS = 16 };

/* What an input must be, or an output is. */
typedef struct llmc_value_info {
  const char *name; /* lives as long as the model */
  int32_t type;     /* llmc_element */
  int32_t rank;
  int64_t dims[LLMC_MOST_DIMS];        /* -1: any */
  const char *symbols[LLMC_MOST_DIMS]; /* name of such a dim, "" if it has none */
} llmc_value_info;

typedef struct llmc_tensor {
  int32_t type; /* llmc_element */
  int32_t rank;
  int64_t dims[LLMC_MOST_DIMS];
  const void *data; /* elements in C order; of outputs 64-byte aligned */
} llmc_tensor;

typedef struct llmc_graph_result llmc_graph_result;

/* "f32" for LLMC_F32; null for other numbers. Bytes of an element in memory; 0 for other numbers. Static. */
LLMC_API const char *llmc_element_name(int32_t type);
LLMC_API int64_t llmc_element_bytes(int32_t type);
/* Number of inputs and outputs; -1 if the model is a decoder. */
LLMC_API int64_t llmc_graph_inputs(const llmc_model *model);
LLMC_API int64_t llmc_graph_outputs(const llmc_model *model);
/* Input or output `index`. Errors: ARGUMENT (a decoder; no such index). */
LLMC_API int llmc_graph_input(const llmc_model *model, int64_t index, llmc_value_info *info, llmc_error *error);
LLMC_API int llmc_graph_output(const llmc_model *model, int64_t index, llmc_value_info *info, llmc_error *error);
/* Runs the graph on `count` inputs, in the order of llmc_graph_input; they are read during the call. The result holds
 * the outputs until llmc_graph_result_free. Errors: ARGUMENT (an input is not what llmc_graph_input says; or the
 * graph's own: an index out of range, dims that do not fit, with the node's name), NO_MEMORY. */
LLMC_API int llmc_graph_run(llmc_model *model, const llmc_tensor *inputs, int64_t count, llmc_graph_result **result,
                            llmc_error *error);
/* Output `index`; null if there is none. Lives as long as the result. */
LLMC_API const llmc_tensor *llmc_graph_result_output(const llmc_graph_result *result, int64_t index);
LLMC_API void llmc_graph_result_free(llmc_graph_result *result);

#ifdef __cplusplus
}
#endif
#endif
