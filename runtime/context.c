/* context.c: limits -> sizes -> memory and threads. llmc_plan and llmc_context_create share every number. */
#include "internal.h"
#include <inttypes.h>
#include <stdlib.h>

static int64_t roundUpDivide(int64_t x, int64_t by) { return x / by + (x % by != 0); }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- limits ---- */

static int checkRange(const char *name, int64_t value, int64_t low, int64_t high, llmc_error *error) {
  if (value >= low && value <= high) return LLMC_OK;
  return llmcFail(error, LLMC_ERROR_ARGUMENT, "%s: found %" PRId64 ", expected %" PRId64 "..%" PRId64, name, value, low,
                  high);
}

/* Pages that suffice for any `sequences` lists of tokens with `positions` tokens together: the sum of ceil(n/64) is at
 * most (positions + 63 * sequences) / 64. */
static int64_t pagesFor(int64_t positions, int64_t sequences, int64_t pagesPerSequence) {
  int64_t worst = (positions + (LLMC_PAGE_POSITIONS - 1) * sequences) / LLMC_PAGE_POSITIONS;
  return smaller(worst, sequences * pagesPerSequence);
}

static int fillLimits(const struct llmcSizes *sizes, const llmc_context_options *options, struct llmcLimits *out,
                      llmc_error *error) {
  static const llmc_context_options defaults;
  const int64_t most = INT32_MAX / 64; /* ids, rows and positions are i32 */
  const llmc_context_options *o = options ? options : &defaults;
  int64_t maxContext = sizes->constants->max_context;
  struct llmcLimits l = {
      .positions = o->max_positions ? o->max_positions : smaller(4096, maxContext),
      .sequences = o->max_sequences ? o->max_sequences : 1,
      .variant = sizes->variant,
  };
  l.rows = o->max_batch_rows ? o->max_batch_rows : smaller(512, l.positions);
  l.logitRows = o->max_logit_rows ? o->max_logit_rows : smaller(l.sequences, l.rows);
  int status = checkRange("max_batch_rows", l.rows, 1, most, error);
  if (!status) status = checkRange("max_logit_rows", l.logitRows, 1, l.rows, error);
  if (!status) status = checkRange("max_positions", l.positions, 1, INT32_MAX, error);
  if (!status) status = checkRange("max_sequences", l.sequences, 1, 1 << 20, error);
  if (!status) status = checkRange("threads", o->threads ? o->threads : 1, 1, kMaxThreads, error);
  if (!status && o->pin > 2) status = checkRange("pin", o->pin, 0, 2, error);
  if (status) return status;
  struct llmcMachine machine;
  llmcReadMachine("", NULL, &machine);
  llmcPlanThreads(&machine, o->threads, o->pin, &l.plan);
  l.threads = l.plan.threads;
  l.pagesPerSequence = roundUpDivide(smaller(maxContext, l.positions), LLMC_PAGE_POSITIONS);
  l.pages = pagesFor(l.positions, l.sequences, l.pagesPerSequence);
  *out = l;
  return LLMC_OK;
}

/* ---- layout of the `other` block: team, then the context, then arrays ---- */

/* Hands out 64-byte aligned pieces; without memory it only adds up their sizes. */
struct Pieces {
  char *memory;
  uint64_t used;
};

static void *take(struct Pieces *pieces, int64_t count, size_t size) {
  void *piece = pieces->memory ? pieces->memory + pieces->used : NULL;
  pieces->used += ((uint64_t)count * size + kLine - 1) / kLine * kLine;
  return piece;
}

static void takeArrays(struct llmc_context *c, const struct llmcLimits *l, struct Pieces *p) {
  c->tokens = take(p, l->rows, sizeof(int32_t));
  c->positions = take(p, l->rows, sizeof(int32_t));
  c->rowSequence = take(p, l->rows, sizeof(int32_t));
  c->tokenRow = take(p, l->rows, sizeof(int32_t));
  c->rowLogit = take(p, l->rows, sizeof(int32_t));
  c->rowWanted = take(p, l->rows, sizeof(uint8_t));
  c->logitRows = take(p, l->logitRows, sizeof(int32_t));
  c->logitOrder = take(p, l->logitRows, sizeof(int32_t));
  c->nextRow = take(p, l->sequences, sizeof(int32_t));
  c->groups.sequence = take(p, l->sequences, sizeof(int32_t));
  c->groups.tokens = take(p, l->sequences, sizeof(int32_t));
  c->groups.copies = take(p, l->sequences, sizeof(uint8_t));
  c->kv.lengths = take(p, l->sequences, sizeof(int32_t));
  c->kv.tables = take(p, l->sequences, sizeof(int32_t *));
  int32_t *table = take(p, l->sequences * l->pagesPerSequence, sizeof(int32_t));
  for (int64_t s = 0; table && s < l->sequences; ++s) c->kv.tables[s] = table + s * l->pagesPerSequence;
  c->best.lists = take(p, l->threads * l->logitRows * LLMC_MOST_BEST, sizeof(llmc_candidate));
  c->claims = take(p, l->variant->matmul_calls, kLine);
  c->kv.freePages = take(p, l->pages, sizeof(int32_t));
  c->kv.references = take(p, l->pages, sizeof(int32_t));
}

static uint64_t otherBytes(const struct llmcLimits *l) {
  struct llmc_context unused;
  struct Pieces pieces = {NULL, llmcTeamBytes(l->threads)};
  take(&pieces, 1, sizeof unused);
  takeArrays(&unused, l, &pieces);
  return pieces.used;
}

/* ---- plan ---- */

/* Scratch of attention: what a step of few rows shares among threads. */
static int64_t partialBytes(const struct llmcLimits *l) {
  int64_t chunks = roundUpDivide(l->pagesPerSequence * LLMC_PAGE_POSITIONS, LLMC_CHUNK_POSITIONS);
  if (chunks < 2) return 0;
  return smaller(l->rows, LLMC_FEW_ROWS) * chunks * l->variant->partial_bytes;
}

/* count * size + more bytes, as they are mapped. */
static int product(const char *name, int64_t count, int64_t size, int64_t more, int64_t *out, llmc_error *error) {
  if (!__builtin_mul_overflow(count, size, out) && !__builtin_add_overflow(*out, more, out) &&
      *out < (int64_t)1 << 46) {
    *out = (int64_t)llmcMapSize((uint64_t)(*out ? *out : 1), true);
    return LLMC_OK;
  }
  return llmcFail(error, LLMC_ERROR_ARGUMENT, "%s: found %" PRId64 " times %" PRId64 " bytes, expected less than 64 TB",
                  name, count, size);
}

int llmcPlanSizes(const struct llmcSizes *sizes, const llmc_context_options *options, struct llmcLimits *limits,
                  llmc_memory_plan *plan, llmc_error *error) {
  const struct llmc_model_constants *c = sizes->constants;
  const struct llmc_variant *v = sizes->variant;
  llmc_memory_plan p = {.weights = c->weight_bytes};
  if (c->graph)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "model: found a plain graph, expected a decoder; use llmc_graph_run");
  int status = fillLimits(sizes, options, limits, error);
  if (!status)
    status = product("arena", limits->rows, v->arena_row_bytes,
                     limits->threads * v->private_bytes + partialBytes(limits), &p.arena, error);
  if (!status) status = product("logit arena", limits->logitRows, v->logit_arena_row_bytes, 0, &p.logit_arena, error);
  if (!status) status = product("kv cache", limits->pages, c->page_bytes, 0, &p.kv_cache, error);
  if (status) return status;
  p.other = (int64_t)llmcMapSize(otherBytes(limits), false);
  p.total = p.arena + p.logit_arena + p.kv_cache + p.other;
  p.kv_pages = limits->pages;
  p.threads = limits->threads;
  *plan = p;
  return LLMC_OK;
}

static struct llmcSizes sizesOf(const llmc_model *model) {
  return (struct llmcSizes){&llmc_model_constants, model->variant};
}

int llmc_plan(const llmc_model *model, const llmc_context_options *options, llmc_memory_plan *plan, llmc_error *error) {
  if (!model || !plan) return llmcFail(error, LLMC_ERROR_ARGUMENT, "%s: found null", model ? "plan" : "model");
  struct llmcLimits limits;
  struct llmcSizes sizes = sizesOf(model);
  return llmcPlanSizes(&sizes, options, &limits, plan, error);
}

/* ---- context ---- */

static void fillBatch(llmc_context *c) {
  c->batch = (struct llmc_batch){
      .tokens = c->tokens,
      .positions = c->positions,
      .sequences = c->rowSequence,
      .lengths = c->kv.lengths,
      .page_tables = (const int32_t *const *)c->kv.tables,
      .logit_rows = c->logitRows,
      .pages = c->kv.pages,
      .arena = c->arena,
      .logit_arena = c->logitArena,
      .private_arena = c->arena + c->limits.rows * c->limits.variant->arena_row_bytes,
      .private_bytes = c->limits.variant->private_bytes,
      .claims = c->claims,
      .weights = c->model->weights,
      .partials = c->arena + c->limits.rows * c->limits.variant->arena_row_bytes +
                  c->limits.threads * c->limits.variant->private_bytes,
  };
}

static void fillKv(llmc_context *c) {
  c->kv.pageBytes = llmc_model_constants.page_bytes;
  c->kv.maxContext = llmc_model_constants.max_context;
  if (c->limits.pagesPerSequence * LLMC_PAGE_POSITIONS < c->kv.maxContext)
    c->kv.maxContext = c->limits.pagesPerSequence * LLMC_PAGE_POSITIONS; /* the length of a page table */
  c->kv.pageCount = c->limits.pages;
  c->kv.maxSequences = c->limits.sequences;
  c->kv.pagesPerSequence = c->limits.pagesPerSequence;
  llmcKvInit(&c->kv);
}

static int mapArenas(llmc_context *c, bool populate, llmc_error *error) {
  const struct {
    char **memory;
    int64_t bytes;
  } parts[] = {{&c->arena, c->plan.arena}, {&c->logitArena, c->plan.logit_arena}, {&c->kv.pages, c->plan.kv_cache}};
  c->interleaved = c->limits.plan.nodes > 1;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) {
    *parts[i].memory = llmcMap((uint64_t)parts[i].bytes, true);
    /* Any thread may write or read any part of them. */
    if (*parts[i].memory)
      c->interleaved &= llmcInterleave(*parts[i].memory, (uint64_t)parts[i].bytes, c->limits.plan.nodeMask);
    if (!*parts[i].memory || (populate && !llmcPopulate(*parts[i].memory, (uint64_t)parts[i].bytes)))
      return llmcFail(error, LLMC_ERROR_NO_MEMORY,
                      "context: found no memory for %" PRId64 " bytes of %" PRId64 " planned", parts[i].bytes,
                      c->plan.total);
  }
  return LLMC_OK;
}

int llmc_context_create(llmc_context **out, llmc_model *model, const llmc_context_options *options, llmc_error *error) {
  struct llmcLimits limits;
  llmc_memory_plan plan;
  if (!out || !model) return llmcFail(error, LLMC_ERROR_ARGUMENT, "%s: found null", out ? "model" : "context");
  *out = NULL;
  struct llmcSizes sizes = sizesOf(model);
  int status = llmcPlanSizes(&sizes, options, &limits, &plan, error);
  if (status) return status;
  char *memory = llmcMap((uint64_t)plan.other, false);
  if (!memory)
    return llmcFail(error, LLMC_ERROR_NO_MEMORY, "context: found no memory for %" PRId64 " bytes", plan.other);
  struct Pieces pieces = {memory, llmcTeamBytes(limits.threads)};
  llmc_context *c = take(&pieces, 1, sizeof *c);
  c->model = model;
  c->limits = limits;
  c->plan = plan;
  llmcRetain(model);
  takeArrays(c, &limits, &pieces);
  fillKv(c);
  status = mapArenas(c, options && options->populate, error);
  if (!status) fillBatch(c);
  if (!status) status = llmcTeamStart(&c->team, memory, &limits.plan, error);
  if (status)
    llmc_context_free(c);
  else
    *out = c;
  return status;
}

void llmc_context_free(llmc_context *c) {
  if (!c) return;
  llmc_memory_plan plan = c->plan;
  llmc_model *model = c->model;
  llmcTeamStop(c->team);
  llmcUnmap(c->arena, (uint64_t)plan.arena, true);
  llmcUnmap(c->logitArena, (uint64_t)plan.logit_arena, true);
  llmcUnmap(c->kv.pages, (uint64_t)plan.kv_cache, true);
  llmcUnmap((char *)c - llmcTeamBytes(plan.threads), (uint64_t)plan.other, false);
  llmc_close(model);
}

void llmc_context_get_state(const llmc_context *c, llmc_context_state *state) {
  *state = (llmc_context_state){.threads = c->limits.threads,
                                .sequences = c->kv.alive,
                                .kv_pages = c->kv.pageCount,
                                .free_kv_pages = c->kv.freeCount};
}
