/* describe.c: how threads and memory of a context were placed, in words. */
#include "internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Text {
  char *text;
  size_t size, used;
};

static void __attribute__((format(printf, 2, 3))) say(struct Text *out, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *end = out->used < out->size ? out->text + out->used : NULL;
  int length = vsnprintf(end, end ? out->size - out->used : 0, format, arguments);
  va_end(arguments);
  if (length > 0) out->used += (size_t)length;
}

static const char *plural(int32_t n) { return n == 1 ? "" : "s"; }

size_t llmcDescribeThreads(const struct llmcThreadPlan *p, char *text, size_t size) {
  struct Text out = {text, size, 0};
  say(&out, "%d thread%s", p->threads, plural(p->threads));
  if (p->asked && p->asked != p->standard) say(&out, " as asked for, %d by default", p->standard);
  if (p->threads > 1) say(&out, p->pin ? ", each on a CPU of its own" : ", not pinned");
  say(&out, ": %d CPU%s allowed, %d core%s", p->allowed, plural(p->allowed), p->cores, plural(p->cores));
  if (p->cores < p->allowed) say(&out, " (SMT siblings share one)");
  if (p->kinds > 1) say(&out, " of %d kinds", p->kinds);
  if (p->used < p->cores) say(&out, ", %d of them fast: others would wait for slow ones", p->used);
  if (p->quota > 0) say(&out, ", cgroup quota %.1f", p->quota);
  if (p->nodes > 1) say(&out, ", %d NUMA nodes", p->nodes);
  return out.used;
}

/* ---- memory, from /proc/self/smaps ---- */

/* Bytes of a piece of memory, of what is resident of it, and of that in huge pages. */
struct Range {
  const char *start;
  uint64_t bytes, resident, huge;
};

/* The range that a line "start-end ..." overlaps, or null. */
static struct Range *rangeOf(const char *line, struct Range *ranges, size_t count) {
  unsigned long long start, end;
  if (sscanf(line, "%llx-%llx", &start, &end) != 2) return NULL;
  for (size_t i = 0; i < count; ++i)
    if (ranges[i].bytes && start < (uintptr_t)ranges[i].start + ranges[i].bytes && end > (uintptr_t)ranges[i].start)
      return &ranges[i];
  return NULL;
}

/* Neighbours that the system keeps as one piece count for the first range that is in it. */
static void measure(struct Range *ranges, size_t count) {
  FILE *file = fopen("/proc/self/smaps", "re");
  char line[512];
  struct Range *range = NULL;
  while (file && fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    bool value = colon && (colon[1] == ' ' || colon[1] == '\t') && line[0] >= 'A' && line[0] <= 'Z';
    if (!value) {
      range = rangeOf(line, ranges, count);
      continue;
    }
    uint64_t bytes = range ? strtoull(colon + 1, NULL, 10) << 10 : 0;
    if (!bytes) continue;
    if (!strncmp(line, "Rss:", 4)) range->resident += bytes;
    if (!strncmp(line, "AnonHugePages:", 14) || !strncmp(line, "FilePmdMapped:", 14) ||
        !strncmp(line, "ShmemPmdMapped:", 15))
      range->huge += bytes;
  }
  if (file) fclose(file);
}

static double megabytes(uint64_t bytes) { return (double)bytes / 1e6; }

size_t llmc_context_describe(const llmc_context *c, char *text, size_t size) {
  struct Text out = {text, size, 0};
  out.used += llmcDescribeThreads(&c->limits.plan, text, size);
  say(&out, "\n");
  struct Range ranges[] = {{c->model->weights, (uint64_t)c->plan.weights, 0, 0},
                           {c->kv.pages, (uint64_t)c->plan.kv_cache, 0, 0},
                           {c->arena, (uint64_t)c->plan.arena, 0, 0},
                           {c->logitArena, (uint64_t)c->plan.logit_arena, 0, 0}};
  measure(ranges, sizeof ranges / sizeof *ranges);
  struct Range own = {NULL, 0, 0, 0};
  for (size_t i = 1; i < sizeof ranges / sizeof *ranges; ++i)
    own.bytes += ranges[i].bytes, own.resident += ranges[i].resident, own.huge += ranges[i].huge;
  say(&out, "weights: %.1f MB mapped, %.1f resident, %.1f of that in huge pages\n", megabytes(ranges[0].bytes),
      megabytes(ranges[0].resident), megabytes(ranges[0].huge));
  say(&out, "cache and arenas: %.1f MB mapped, %.1f resident, %.1f of that in huge pages", megabytes(own.bytes),
      megabytes(own.resident), megabytes(own.huge));
  if (c->limits.plan.nodes > 1)
    say(&out, c->interleaved ? ", spread over %d NUMA nodes" : ", not spread over %d NUMA nodes: the system refused",
        c->limits.plan.nodes);
  say(&out, "\n");
  return out.used;
}
