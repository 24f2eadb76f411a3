/* internal.h: what the files of the runtime share. Nothing here is seen outside an artifact. C and C++ (tests). */
#ifndef LLMC_INTERNAL_H
#define LLMC_INTERNAL_H
#include "llmc.h"
#include "llmc_artifact.h"
#include <pthread.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Both are written by the compiler. llmc_artifact is exported: the artifact is linked with -Bsymbolic (or defines it
 * as protected), so that each artifact in a process sees its own. */
extern const struct llmc_artifact llmc_artifact;
extern const struct llmc_model_constants llmc_model_constants;

struct llmcFile;
struct llmcTeam;

enum { kHugePage = 2 << 20, kMaxThreads = 1024, kLine = 64 };

/* ---- api.c: errors and memory ---- */

/* Fills `error` (may be null) and returns `code`. */
int llmcFail(llmc_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Zeroed memory of llmcMapSize(bytes), from 2 MB up aligned to 2 MB and advised to be huge pages; null if none. */
void *llmcMap(uint64_t bytes, bool huge);
void llmcUnmap(void *memory, uint64_t bytes, bool huge);
/* `bytes` rounded up to what llmcMap takes: 2 MB, or one page if small or not huge. */
uint64_t llmcMapSize(uint64_t bytes, bool huge);
/* Pages of `memory` that are not there yet will come from the nodes of `nodeMask` in turn; false if the system refuses.
 * With one node there is nothing to do. */
bool llmcInterleave(void *memory, uint64_t bytes, uint64_t nodeMask);
/* The same for all that this thread touches first, pages of files included. */
bool llmcInterleaveThread(uint64_t nodeMask);
/* Makes all pages present now (their contents must be zero); false if there is no memory. */
bool llmcPopulate(void *memory, uint64_t bytes);

struct llmc_model {
  int references; /* the opener's and each context's; atomic */
  const struct llmc_variant *variant;
  const char *weights;
  struct llmcFile *file; /* null if the weights came from memory */
};
void llmcRetain(llmc_model *model);

/* ---- file.c ---- */

/* Maps the file that this code was loaded from, after checking it against llmc_artifact. */
int llmcFileOpen(struct llmcFile **file, uint32_t prefetch, llmc_error *error);
void llmcFileClose(struct llmcFile *file);
/* Start of the mapped file; its offset 0 is 2 MB aligned. */
const char *llmcFileData(const struct llmcFile *file);

/* ---- cpu.c ---- */

/* The subset of `wanted` (bits of enum Feature, codegen/Target.h) that this CPU and operating system have. Asks the
 * system for the permission to use AMX if `wanted` has it. */
uint64_t llmcCpuFeatures(uint64_t wanted);
/* Names of `features`, "avx2, fma", cut at `size`; a bit that this runtime does not know is "feature 40". */
void llmcFeatureNames(uint64_t features, char *text, size_t size);
/* Name of bit `bit`, or null. */
const char *llmcFeatureName(unsigned bit);

/* ---- topology.c: what the system says of CPUs ---- */

enum { kMaxCpus = 8192, kMaxNodes = 64, kFullSpeed = 1024 };

static inline void llmcSetCpu(unsigned char *mask, int32_t cpu) { mask[cpu / 8] |= (unsigned char)(1 << cpu % 8); }
static inline bool llmcHasCpu(const unsigned char *mask, int32_t cpu) { return mask[cpu / 8] >> (cpu % 8) & 1; }

struct llmcCpu {
  int32_t cpu, core; /* core: its lowest CPU, which may be one that is not ours */
  int32_t node;      /* of memory that is near */
  int32_t speed;     /* of its kind: kFullSpeed is the fastest of ours */
};

struct llmcMachine {
  int32_t count; /* CPUs that this thread may run on and that are online, ascending */
  double quota;  /* CPUs' worth of time that the cgroup allows; 0: all */
  struct llmcCpu cpus[kMaxThreads];
};

/* `allowed`: a mask of kMaxCpus bits; null: this thread's. `root` is put before every path that is read: "" or a
 * directory in tests. What cannot be read is as on a plain machine: every CPU a core, one kind, one node. */
void llmcReadMachine(const char *root, const unsigned char *allowed, struct llmcMachine *machine);
/* CPUs' worth of time that cgroups (v1 or v2, this group and all above it) allow; 0 if there is no limit. */
double llmcCpuQuota(const char *root);

/* ---- threadplan.c: how many threads, and where. Pure functions. ---- */

struct llmcThreadPlan {
  int32_t threads, asked, standard; /* asked: 0 if nobody did; standard: what it is then */
  int32_t allowed, cores, used;     /* CPUs; cores of them; cores of the kinds that `standard` takes */
  int32_t kinds, nodes;
  double quota;
  bool pin;          /* each thread to its CPU */
  uint64_t nodeMask; /* of memory near the threads */
  int32_t count;     /* CPUs, in the order in which threads take them: thread i has cpus[i % count] */
  int32_t cpus[kMaxThreads], core[kMaxThreads];
};

/* `threads`: 0 takes the standard; `pin` as in llmc_context_options. */
void llmcPlanThreads(const struct llmcMachine *machine, int64_t threads, uint32_t pin, struct llmcThreadPlan *plan);

/* ---- describe.c ---- */

/* The plan and its reasons in words, cut at `size`: "2 threads, not pinned: 4 CPUs allowed, 2 cores (...)". Returns the
 * length of the whole. */
size_t llmcDescribeThreads(const struct llmcThreadPlan *plan, char *text, size_t size);

/* ---- threads.c ---- */

/* pthread_create of a thread that takes none of the host's signals. */
int llmcStartThread(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
/* Bytes of a team of `threads`, stacks included. */
uint64_t llmcTeamBytes(int64_t threads);
/* Starts plan->threads - 1 threads in `memory` (zeroed, page aligned, of llmcTeamBytes). */
int llmcTeamStart(struct llmcTeam **team, void *memory, const struct llmcThreadPlan *plan, llmc_error *error);
/* Runs step(batch, i, threads) for all i; the caller is i = 0. Sets batch->barrier. */
void llmcTeamRun(struct llmcTeam *team, llmc_step_fn step, struct llmc_batch *batch);
void llmcTeamStop(struct llmcTeam *team);
/* Called by the compiled step: returns when all threads of the team have called it. */
void llmc_step_barrier(const struct llmc_batch *batch, int64_t thread, int64_t threads);

/* ---- split.c ---- */

/* LLMC_MODE_* of a step. */
int64_t llmcStepMode(int64_t rows, int64_t threads);
/* Called by the compiled step: this thread's part of a matmul. */
void llmc_step_panels(const struct llmc_panels *work, int64_t mode, int64_t thread, int64_t threads);
/* Called by the compiled step: this thread's part of the matmuls of all experts. */
void llmc_step_experts(const struct llmc_experts *work, int64_t thread, int64_t threads);

/* ---- best.c: the most likely tokens ---- */

struct llmcBest {
  int64_t count, rows, vocab; /* tokens of a list; wanted rows of this step; columns of a row */
  llmc_candidate *lists;      /* [threads][rows][count], the most likely first; each thread lists what it computed */
};
/* The order of llmc_best. */
bool llmcBefore(llmc_candidate a, llmc_candidate b);
/* Empties the lists. */
void llmcBestClear(const struct llmcBest *best, int64_t threads);
/* Puts those of logits[begin, end) of `row` that are among the best into the thread's list. */
void llmcBestScan(const struct llmcBest *best, int64_t thread, int64_t row, const float *logits, int64_t begin,
                  int64_t end);
/* The lists of thread 0 become those of all. */
void llmcBestMerge(const struct llmcBest *best, int64_t threads);
/* Thread 0's list, and how many are in it. */
const llmc_candidate *llmcBestRow(const struct llmcBest *best, int64_t row, int64_t *count);

/* ---- kv.c: the page pool and the sequences in it ---- */

/* Pages that no sequence uses are in freePages[0, freeCount). A page has as many references as sequences use it. */
struct llmcKv {
  int64_t pageBytes, pageCount, freeCount, maxSequences, pagesPerSequence, maxContext, alive;
  char *pages;
  int32_t *freePages, *references; /* [pageCount] */
  int32_t *lengths;                /* [maxSequences]; -1: no such sequence */
  int32_t **tables;                /* [maxSequences] -> [pagesPerSequence] */
};

/* Tokens of one step by sequence. */
struct llmcGroups {
  int64_t count;
  int32_t *sequence; /* [count], in order of first appearance */
  int32_t *tokens;   /* [maxSequences] tokens of each sequence; 0 if it has none */
  uint8_t *copies;   /* [count] its last page is copied before it is written; scratch of llmcKvAppend */
};

/* Sets up an empty pool over zeroed arrays. */
void llmcKvInit(struct llmcKv *kv);
/* Makes room: afterwards lengths and tables include the new tokens and every page that will be written has one owner.
 * On error nothing has changed. */
int llmcKvAppend(struct llmcKv *kv, const struct llmcGroups *groups, llmc_error *error);
bool llmcKvHas(const struct llmcKv *kv, int32_t sequence);

/* ---- graph.c: called by the code of a plain graph ---- */

/* `bytes` * d0 * ... * d7, 64-byte aligned; ends the run if a size is negative or there is no memory. Blocks belong to
 * the run: what it has not freed is freed when it ends, however it ends. */
void *llmc_graph_alloc(void *run, int64_t bytes, int64_t d0, int64_t d1, int64_t d2, int64_t d3, int64_t d4, int64_t d5,
                       int64_t d6, int64_t d7);
void llmc_graph_free(void *run, void *block);
/* Ends the run with an error; does not return. */
void llmc_graph_fail(void *run, const char *message) __attribute__((noreturn));

/* ---- context.c and step.c ---- */

/* What the sizes of memory follow from. */
struct llmcSizes {
  const struct llmc_model_constants *constants;
  const struct llmc_variant *variant;
};
struct llmcLimits {
  int64_t rows, logitRows, positions, sequences, threads, pages, pagesPerSequence;
  const struct llmc_variant *variant; /* the code that will run: arenas are as it wants them */
  struct llmcThreadPlan plan;
};

/* llmc_plan of any model's sizes: also for tools that read an artifact as data. */
int llmcPlanSizes(const struct llmcSizes *sizes, const llmc_context_options *options, struct llmcLimits *limits,
                  llmc_memory_plan *plan, llmc_error *error);

struct llmc_context {
  llmc_model *model;
  struct llmcLimits limits;
  llmc_memory_plan plan;
  struct llmcKv kv;
  struct llmcGroups groups;
  struct llmcTeam *team;
  struct llmc_batch batch;
  struct llmcBest best;
  char *arena, *logitArena;
  bool interleaved; /* arenas and cache, over the nodes of the thread plan */
  void *claims;
  /* [rows]: of the batch; tokenRow[i] is the row of input token i, rowWanted[r] and rowLogit[r] are by row */
  int32_t *tokens, *positions, *rowSequence, *tokenRow, *rowLogit;
  uint8_t *rowWanted;
  int32_t *logitRows, *logitOrder; /* [logitRows]; logitOrder[i]: place of the i-th wanted token in logitRows */
  int32_t *nextRow;                /* [sequences] */
};

#ifdef __cplusplus
}
#endif
#endif
