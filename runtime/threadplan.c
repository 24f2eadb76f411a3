/* threadplan.c: from what the system says of its CPUs to a number of threads and their CPUs. */
#include "internal.h"
#include <stdlib.h>

enum {
  kSameKind =
      4 * kFullSpeed / 5, /* of the fastest of a kind: cores of one kind have clocks that differ by some percent */
};

/* Threads get equal shares, so n cores do n times the work of the slowest. Slower kinds join if that is at least this
 * much more: each barrier waits for the last thread, and decoding, bound by memory, needs few cores. */
static const double kWorthSlowCores = 1.5;

/* ---- order: cores before their second threads, fast kinds first, then by node and number ---- */

struct Candidate {
  struct llmcCpu cpu;
  int32_t sibling; /* CPUs of the same core before it */
  int32_t kind;    /* 0 is the fastest */
};

static int byPlace(const void *a, const void *b) {
  const struct Candidate *x = a, *y = b;
  if (x->sibling != y->sibling) return x->sibling < y->sibling ? -1 : 1;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  if (x->cpu.node != y->cpu.node) return x->cpu.node < y->cpu.node ? -1 : 1;
  return x->cpu.cpu < y->cpu.cpu ? -1 : x->cpu.cpu > y->cpu.cpu;
}

static int32_t slower(int32_t speed, const struct llmcMachine *m) {
  int32_t most = 0;
  for (int32_t i = 0; i < m->count; ++i)
    if (m->cpus[i].speed < speed && m->cpus[i].speed > most) most = m->cpus[i].speed;
  return most;
}

/* Numbers the kinds; returns how many. `from` is the speed of the fastest of a kind. */
static int32_t findKinds(const struct llmcMachine *m, struct Candidate *all) {
  int32_t kinds = 0;
  for (int32_t from = slower(INT32_MAX, m); from > 0; ++kinds) {
    int32_t next = from;
    while (next > 0 && (int64_t)next * kFullSpeed >= (int64_t)from * kSameKind) next = slower(next, m);
    for (int32_t i = 0; i < m->count; ++i)
      if (m->cpus[i].speed <= from && m->cpus[i].speed > next) all[i].kind = kinds;
    from = next;
  }
  return kinds;
}

/* Cores of the kinds that are worth it: a prefix of `all`, which is in order. */
static int32_t usedCores(const struct Candidate *all, int32_t cores) {
  int32_t used = 0;
  double best = 0;
  for (int32_t end = 0; end < cores;) {
    int32_t slowest = INT32_MAX, kind = all[end].kind;
    for (; end < cores && all[end].kind == kind; ++end)
      if (all[end].cpu.speed < slowest) slowest = all[end].cpu.speed;
    double work = (double)end * slowest;
    if (used && work <= kWorthSlowCores * best) continue;
    used = end;
    best = work;
  }
  return used;
}

/* The nearest whole number: 3.9 CPUs carry 4 threads that are stopped for 2% of the time, but 1.2 CPUs do not carry
 * two, which would wait for each other 40% of the time. */
static int32_t withinQuota(int32_t threads, double quota) {
  if (quota > 0 && quota + 0.5 < threads) threads = (int32_t)(quota + 0.5);
  return threads < 1 ? 1 : threads;
}

void llmcPlanThreads(const struct llmcMachine *m, int64_t threads, uint32_t pin, struct llmcThreadPlan *plan) {
  struct Candidate all[kMaxThreads];
  *plan = (struct llmcThreadPlan){.asked = (int32_t)threads, .allowed = m->count, .quota = m->quota, .count = m->count};
  for (int32_t i = 0; i < m->count; ++i) {
    all[i] = (struct Candidate){.cpu = m->cpus[i]};
    for (int32_t k = 0; k < i; ++k) all[i].sibling += m->cpus[k].core == m->cpus[i].core;
    plan->cores += !all[i].sibling;
  }
  plan->kinds = findKinds(m, all);
  qsort(all, (size_t)m->count, sizeof *all, byPlace);
  plan->used = usedCores(all, plan->cores);
  plan->standard = withinQuota(plan->used, m->quota);
  plan->threads = threads ? (int32_t)threads : plan->standard;
  for (int32_t i = 0; i < m->count; ++i) {
    plan->cpus[i] = all[i].cpu.cpu;
    plan->core[i] = all[i].cpu.core;
  }
  /* With fewer threads than cores, pinning would put every process of this kind on the same first CPUs. */
  bool full = plan->threads == plan->used || plan->threads == plan->cores || plan->threads == plan->allowed;
  plan->pin = plan->allowed > 1 && plan->threads > 1 && (pin == 1 || (pin == 0 && full));
  for (int32_t i = 0; i < m->count && (!plan->pin || i < plan->threads); ++i) {
    plan->nodes += !(plan->nodeMask >> all[i].cpu.node & 1);
    plan->nodeMask |= (uint64_t)1 << all[i].cpu.node;
  }
}
