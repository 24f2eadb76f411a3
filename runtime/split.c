/* split.c: how the work of a matmul call is dealt to the threads of a step. Every output element is computed by one
 * thread, whole and in one order, so that no split changes a bit of the result. */
#include "internal.h"
#include <stdatomic.h>

enum {
  kClaimBytes = 128 << 10, /* of weights that a thread claims at a time: a few microseconds of reading */
  kChunkBytes = 384 << 10, /* of activation rows that stay in L2 while all panels pass */
  kLeastChunk = 48,        /* rows; a multiple of the kernels' row blocks */
  kPanelColumns = 64,
};

/* Steps of at least this many rows for each thread are split by rows: nothing of a layer but attention then crosses
 * threads. With fewer, reading all weights in every thread would cost more than it saves. Reasoned, not measured: a
 * panel of weights is read from L3 once for that many rows. */
static const int64_t kRowsPerThread = 64;

int64_t llmcStepMode(int64_t rows, int64_t threads) {
  if (rows <= LLMC_FEW_ROWS) return LLMC_MODE_FEW;
  return rows >= kRowsPerThread * threads ? LLMC_MODE_ROWS : LLMC_MODE_TILES;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Panels [panel, lastPanel) of rows [row, lastRow). */
static void run(const struct llmc_panels *work, int64_t thread, int64_t panel, int64_t lastPanel, int64_t row,
                int64_t lastRow) {
  if (panel >= lastPanel || row >= lastRow) return;
  struct llmc_matmul_args args = work->args;
  args.begin = panel;
  args.end = lastPanel;
  args.rows = lastRow - row;
  args.x = (const char *)args.x + row * work->x_stride;
  args.y = (float *)((char *)args.y + row * work->y_stride);
  work->kernel(&args);
  const struct llmcBest *best = work->best;
  if (!best) return;
  int64_t first = panel * kPanelColumns, last = smaller(lastPanel * kPanelColumns, best->vocab);
  for (int64_t r = 0; r < args.rows; ++r)
    llmcBestScan(best, thread, row + r, (const float *)((const char *)args.y + r * work->y_stride), first, last);
}

/* Three quarters of the panels by share, in order; the rest goes in small pieces to whoever is free, as a thread that
 * the system stopped for a moment would hold up all. */
static void runFew(const struct llmc_panels *work, int64_t thread, int64_t threads) {
  int64_t rows = work->args.rows, shared = work->panels * 3 / 4, rest = work->panels - shared;
  run(work, thread, shared * thread / threads, shared * (thread + 1) / threads, 0, rows);
  int64_t piece = larger(1, smaller(kClaimBytes / work->panel_bytes, rest / (4 * threads)));
  for (;;) {
    int64_t first =
        shared + (int64_t)atomic_fetch_add_explicit((atomic_llong *)work->claimed, piece, memory_order_relaxed);
    if (first >= work->panels) return;
    run(work, thread, first, smaller(first + piece, work->panels), 0, rows);
  }
}

/* Equal shares of panels x chunks of rows, panel by panel: whole panels but for the first and the last of a share. */
static void runTiles(const struct llmc_panels *work, int64_t thread, int64_t threads) {
  int64_t rows = work->args.rows, chunks = rows >= 8 * threads ? threads : 1, units = work->panels * chunks;
  int64_t unit = units * thread / threads, end = units * (thread + 1) / threads;
  while (unit < end) {
    int64_t panel = unit / chunks, chunk = unit % chunks, whole = (end - unit) / chunks;
    if (!chunk && whole) {
      run(work, thread, panel, panel + whole, 0, rows);
      unit += whole * chunks;
      continue;
    }
    int64_t last = smaller(chunks, chunk + end - unit);
    run(work, thread, panel, panel + 1, rows * chunk / chunks, rows * last / chunks);
    unit += last - chunk;
  }
}

/* The thread's rows by all panels. */
static void runRows(const struct llmc_panels *work, int64_t thread, int64_t threads) {
  int64_t rows = work->args.rows, row = rows * thread / threads, end = rows * (thread + 1) / threads;
  int64_t chunk = larger(kLeastChunk, kChunkBytes / work->x_stride / kLeastChunk * kLeastChunk);
  for (; row < end; row += chunk) run(work, thread, 0, work->panels, row, smaller(row + chunk, end));
}

void llmc_step_panels(const struct llmc_panels *work, int64_t mode, int64_t thread, int64_t threads) {
  if (mode == LLMC_MODE_ROWS)
    runRows(work, thread, threads);
  else if (threads == 1)
    run(work, thread, 0, work->panels, 0, work->args.rows);
  else if (mode == LLMC_MODE_TILES)
    runTiles(work, thread, threads);
  else
    runFew(work, thread, threads);
}

/* ---- experts ---- */

/* A panel of an expert costs its weights' read and its rows' products; this many rows' products take as long as the
 * read. Where a thread's share ends depends on it, results do not. */
enum { kRowsOfARead = 8 };

/* Panels [panel, lastPanel) of an expert, all its rows, so many at a time that they stay in L2. */
static void runExpert(const struct llmc_experts *work, int64_t expert, int64_t panel, int64_t lastPanel) {
  int64_t first = work->first[expert], rows = work->first[expert + 1] - first;
  if (panel >= lastPanel || rows <= 0) return;
  int kind = 0;
  while (kind < LLMC_ROW_CLASSES - 1 && rows > work->most_rows[kind]) ++kind;
  struct llmc_matmul_args args = work->args;
  args.begin = panel;
  args.end = lastPanel;
  args.w = (const char *)args.w + expert * work->panels * work->panel_bytes;
  int64_t chunk = larger(kLeastChunk, kChunkBytes / work->x_stride / kLeastChunk * kLeastChunk);
  for (int64_t row = 0; row < rows; row += chunk) {
    args.rows = smaller(chunk, rows - row);
    args.x = (const char *)work->args.x + (first + row) * work->x_stride;
    args.y = (float *)((char *)work->args.y + (first + row) * work->y_stride);
    work->kernels[kind](&args);
  }
}

static int64_t costOf(const struct llmc_experts *work, int64_t expert) {
  int64_t rows = work->first[expert + 1] - work->first[expert];
  return rows > 0 ? rows + kRowsOfARead : 0;
}

/* The panels of all experts in a row, each as long as its expert's cost: those that begin in [begin, end). */
static void runSpan(const struct llmc_experts *work, int64_t begin, int64_t end) {
  for (int64_t expert = 0, at = 0; expert < work->experts && at < end; ++expert) {
    int64_t cost = costOf(work, expert);
    if (!cost) continue;
    int64_t first = begin <= at ? 0 : (begin - at + cost - 1) / cost, last = (end - at + cost - 1) / cost;
    runExpert(work, expert, first, smaller(last, work->panels));
    at += cost * work->panels;
  }
}

void llmc_step_experts(const struct llmc_experts *work, int64_t thread, int64_t threads) {
  int64_t total = 0, panels = 0;
  for (int64_t expert = 0; expert < work->experts; ++expert) {
    total += costOf(work, expert) * work->panels;
    panels += costOf(work, expert) ? work->panels : 0;
  }
  if (!panels) return;
  /* Static shares of three quarters, as in runFew: where experts end, a thread's share is a guess in all modes. */
  int64_t shared = threads > 1 ? total / 4 * 3 : total;
  runSpan(work, shared * thread / threads, shared * (thread + 1) / threads);
  if (shared == total) return;
  int64_t rest = total - shared, average = total / panels;
  int64_t piece = larger(average, smaller(kClaimBytes / work->panel_bytes * average, rest / (4 * threads)));
  for (;;) {
    int64_t first =
        shared + (int64_t)atomic_fetch_add_explicit((atomic_llong *)work->claimed, piece, memory_order_relaxed);
    if (first >= total) return;
    runSpan(work, first, smaller(first + piece, total));
  }
}
