/* step.c: checks a list of tokens, groups it by sequence, and runs the compiled step on it. */
#include "internal.h"
#include <inttypes.h>
#include <string.h>

/* ---- checking ---- */

static int checkToken(const llmc_context *c, const llmc_step_input *input, int64_t i, llmc_error *error) {
  int64_t vocab = llmc_model_constants.vocab;
  if (input->tokens[i] < 0 || input->tokens[i] >= vocab)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "tokens[%" PRId64 "]: found %d, expected 0..%" PRId64, i,
                    input->tokens[i], vocab - 1);
  if (!llmcKvHas(&c->kv, input->sequences[i]))
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "sequences[%" PRId64 "]: found %d, expected one that was created", i,
                    input->sequences[i]);
  return LLMC_OK;
}

static int checkInput(const llmc_context *c, const llmc_step_input *input, llmc_error *error) {
  if (!input || !input->tokens || !input->sequences)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "input: found null, expected tokens and sequences");
  if (input->n < 1 || input->n > c->limits.rows)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "n: found %" PRId64 ", expected 1..%" PRId64 " (max_batch_rows)",
                    input->n, c->limits.rows);
  if (input->best < 0 || input->best > LLMC_MOST_BEST)
    return llmcFail(error, LLMC_ERROR_ARGUMENT, "best: found %" PRId64 ", expected 0..%d", input->best, LLMC_MOST_BEST);
  for (int64_t i = 0; i < input->n; ++i) {
    int status = checkToken(c, input, i, error);
    if (status) return status;
  }
  return LLMC_OK;
}

/* ---- grouping ---- */

static void countTokens(struct llmcGroups *groups, const llmc_step_input *input) {
  groups->count = 0;
  for (int64_t i = 0; i < input->n; ++i)
    if (!groups->tokens[input->sequences[i]]++) groups->sequence[groups->count++] = input->sequences[i];
}

static void clearCounts(struct llmcGroups *groups) {
  for (int64_t g = 0; g < groups->count; ++g) groups->tokens[groups->sequence[g]] = 0;
}

static int checkLogits(const llmc_context *c, const llmc_step_input *input, llmc_error *error) {
  int64_t wanted = input->want_logits ? 0 : c->groups.count;
  for (int64_t i = 0; input->want_logits && i < input->n; ++i) wanted += input->want_logits[i] != 0;
  if (wanted <= c->limits.logitRows) return LLMC_OK;
  return llmcFail(error, LLMC_ERROR_ARGUMENT,
                  "want_logits: found %" PRId64 " tokens, expected at most %" PRId64 " (max_logit_rows)", wanted,
                  c->limits.logitRows);
}

/* Rows of one sequence side by side, sequences in order of first appearance. Lengths already include the new tokens. */
static void placeRows(llmc_context *c, const llmc_step_input *input) {
  int32_t start = 0;
  c->batch.longest = 0;
  c->batch.lone_rows = c->groups.count == input->n;
  for (int64_t g = 0; g < c->groups.count; ++g) {
    int32_t s = c->groups.sequence[g], count = c->groups.tokens[s];
    if (c->kv.lengths[s] > c->batch.longest) c->batch.longest = c->kv.lengths[s];
    for (int32_t k = 0; k < count; ++k) {
      c->positions[start + k] = c->kv.lengths[s] - count + k;
      c->rowSequence[start + k] = s;
      c->rowWanted[start + k] = !input->want_logits && k == count - 1;
    }
    c->nextRow[s] = start;
    start += count;
  }
  for (int64_t i = 0; i < input->n; ++i) {
    int32_t row = c->nextRow[input->sequences[i]]++;
    c->tokenRow[i] = row;
    c->tokens[row] = input->tokens[i];
    if (input->want_logits) c->rowWanted[row] = input->want_logits[i] != 0;
  }
}

/* The batch lists wanted rows ascending; the caller counts them in the order of the input. */
static void placeLogits(llmc_context *c, int64_t n) {
  int32_t count = 0, i = 0;
  for (int32_t row = 0; row < n; ++row) {
    if (!c->rowWanted[row]) continue;
    c->logitRows[count] = row;
    c->rowLogit[row] = count++;
  }
  for (int64_t token = 0; token < n; ++token)
    if (c->rowWanted[c->tokenRow[token]]) c->logitOrder[i++] = c->rowLogit[c->tokenRow[token]];
  c->batch.logit_count = count;
}

/* ---- step ---- */

static const float *logitsOf(const llmc_context *c, int64_t row) {
  const struct llmc_variant *k = c->limits.variant;
  return (const float *)(c->batch.logit_arena + k->logits_offset * c->batch.logit_capacity + row * k->logits_stride);
}

static void startBest(llmc_context *c, int64_t count) {
  c->best.count = count;
  c->best.rows = c->batch.logit_count;
  c->best.vocab = llmc_model_constants.vocab;
  c->batch.best = count && c->best.rows ? &c->best : NULL;
  if (c->batch.best) llmcBestClear(&c->best, c->limits.threads);
}

/* A head whose logits are changed after it (a softcap) has listed nothing: they are looked through here. */
static void finishBest(llmc_context *c) {
  if (!c->batch.best) return;
  llmcBestMerge(&c->best, c->limits.threads);
  for (int64_t row = 0, listed; row < c->best.rows; ++row) {
    llmcBestRow(&c->best, row, &listed);
    if (!listed) llmcBestScan(&c->best, 0, row, logitsOf(c, row), 0, c->best.vocab);
  }
}

int llmc_step(llmc_context *c, const llmc_step_input *input, llmc_error *error) {
  int status = checkInput(c, input, error);
  if (status) return status;
  countTokens(&c->groups, input);
  status = checkLogits(c, input, error);
  if (!status) status = llmcKvAppend(&c->kv, &c->groups, error);
  if (!status) placeRows(c, input);
  clearCounts(&c->groups);
  if (status) return status;
  placeLogits(c, input->n);
  c->batch.rows = input->n;
  /* The arenas are laid out for the rows of this step, so that a small step touches little memory. */
  c->batch.capacity = input->n;
  c->batch.logit_capacity = c->batch.logit_count ? c->batch.logit_count : 1;
  c->batch.mode = llmcStepMode(input->n, c->limits.threads);
  c->batch.logit_mode = c->batch.logit_count <= LLMC_FEW_ROWS ? LLMC_MODE_FEW : LLMC_MODE_TILES;
  memset(c->claims, 0, (size_t)c->limits.variant->matmul_calls * kLine);
  startBest(c, input->best);
  llmcTeamRun(c->team, c->model->variant->step, &c->batch);
  finishBest(c);
  return LLMC_OK;
}

int64_t llmc_logit_count(const llmc_context *c) { return c->batch.logit_count; }

float *llmc_logits(const llmc_context *c, int64_t i) {
  if (i < 0 || i >= c->batch.logit_count || c->batch.best) return NULL;
  return (float *)logitsOf(c, c->logitOrder[i]);
}

const llmc_candidate *llmc_best(const llmc_context *c, int64_t i, int64_t *count) {
  if (count) *count = 0;
  if (i < 0 || i >= c->batch.logit_count || !c->batch.best) return NULL;
  return llmcBestRow(&c->best, c->logitOrder[i], count);
}
