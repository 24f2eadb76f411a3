/* threads.c: the team that runs steps. Threads sleep between steps and never inside one. */
#include "internal.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  kStackBytes = 4 << 20,     /* address space; only what kernels touch becomes memory */
  kSpinNanoseconds = 20000,  /* inside a step, before giving up the CPU: longer than the gap between threads of a step
                                that all have a CPU, short against a scheduler tick when they have not */
  kIdleNanoseconds = 100000, /* between steps, before sleeping: about the time to sample a token */
};

struct llmcBarrier {
  _Alignas(kLine) atomic_uint arrived;
  _Alignas(kLine) atomic_uint phase; /* goes up when all have arrived; what waiters read */
  _Alignas(kLine) uint32_t spins;    /* pauses before the first sched_yield */
};

struct Member {
  struct llmcTeam *team;
  int64_t index;
  pthread_t thread;
};

struct llmcTeam {
  struct llmcBarrier barrier;
  _Alignas(kLine) atomic_uint epoch;    /* futex; goes up when there is a step to run */
  _Alignas(kLine) atomic_uint sleeping; /* threads that may be in futex wait */
  _Alignas(kLine) atomic_uint finished; /* members 1.. that are done with the step */
  _Alignas(kLine) llmc_step_fn step;    /* null: end the thread */
  const struct llmc_batch *batch;
  int64_t threads, started;
  uint32_t idleSpins;
  bool pinned;
  int32_t firstCpu;                       /* the caller's, if pinned */
  unsigned char callerCpus[kMaxCpus / 8]; /* where it may stay, if pinned */
  struct Member members[];
};

/* ---- waiting ---- */

static inline void pause1(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("isb" ::: "memory"); /* `yield` is a no-op on most cores */
#endif
}

/* Until *word is not `old`: spins, then lets others run in between, so that a thread without a CPU gets one. */
static void waitForChange(atomic_uint *word, uint32_t old, uint32_t spins) {
  for (uint32_t i = 0; atomic_load_explicit(word, memory_order_acquire) == old;)
    if (i < spins)
      ++i, pause1();
    else
      sched_yield();
}

/* Pauses that take `nanoseconds` on this machine (a pause is 10 to 150 cycles): the most of three measurements, as
 * being interrupted makes it look like fewer. */
static uint32_t countSpins(int64_t nanoseconds) {
  enum { kPauses = 500 };
  uint32_t most = 1;
  for (int round = 0; round < 3; ++round) {
    struct timespec a, b;
    atomic_uint word = 0;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < kPauses && !atomic_load_explicit(&word, memory_order_acquire); ++i) pause1();
    clock_gettime(CLOCK_MONOTONIC, &b);
    int64_t elapsed = (b.tv_sec - a.tv_sec) * 1000000000ll + (b.tv_nsec - a.tv_nsec);
    int64_t spins = nanoseconds * kPauses / (elapsed > 0 ? elapsed : 1);
    if (spins > most) most = spins < INT_MAX ? (uint32_t)spins : INT_MAX;
  }
  return most;
}

void llmc_step_barrier(const struct llmc_batch *batch, int64_t thread, int64_t threads) {
  (void)thread;
  if (threads <= 1) return;
  struct llmcBarrier *barrier = batch->barrier;
  /* Not stale: this thread has seen the end of the last phase, and this one cannot end before it arrives. */
  uint32_t phase = atomic_load_explicit(&barrier->phase, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) + 1 < (uint32_t)threads) {
    waitForChange(&barrier->phase, phase, barrier->spins);
    return;
  }
  atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
  atomic_store_explicit(&barrier->phase, phase + 1, memory_order_release);
}

/* ---- floating point: denormals are zero, round to nearest, no traps ---- */

static uint64_t enterFloatMode(void) {
#if defined(__x86_64__)
  uint32_t saved = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(0x1f80 | 0x8040); /* all masked | FTZ and DAZ */
  return saved;
#else
  uint64_t saved, mode = 1 << 24; /* FZ */
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
  __asm__ volatile("msr fpcr, %0" ::"r"(mode));
  return saved;
#endif
}

static void leaveFloatMode(uint64_t saved) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr((uint32_t)saved);
#else
  __asm__ volatile("msr fpcr, %0" ::"r"(saved));
#endif
}

/* ---- workers ---- */

static uint32_t waitForStep(struct llmcTeam *team, uint32_t last) {
  uint32_t epoch;
  for (uint32_t i = 0; i < team->idleSpins; ++i, pause1())
    if ((epoch = atomic_load_explicit(&team->epoch, memory_order_acquire)) != last) return epoch;
  /* Sequentially consistent with llmcTeamRun: either it sees `sleeping`, or this sees the new epoch. */
  atomic_fetch_add(&team->sleeping, 1);
  while ((epoch = atomic_load(&team->epoch)) == last)
    syscall(SYS_futex, &team->epoch, FUTEX_WAIT_PRIVATE, last, NULL, NULL, 0);
  atomic_fetch_sub(&team->sleeping, 1);
  return epoch;
}

static void *runWorker(void *argument) {
  struct Member *self = argument;
  struct llmcTeam *team = self->team;
  char name[16];
  snprintf(name, sizeof name, "llmc-%d", (int)self->index);
  prctl(PR_SET_NAME, name);
  enterFloatMode();
  for (uint32_t epoch = 0;;) {
    epoch = waitForStep(team, epoch);
    if (!team->step) return NULL;
    team->step(team->batch, self->index, team->threads);
    atomic_fetch_add_explicit(&team->finished, 1, memory_order_release);
  }
}

static void startStep(struct llmcTeam *team) {
  atomic_store_explicit(&team->finished, 0, memory_order_relaxed);
  atomic_fetch_add(&team->epoch, 1);
  if (atomic_load(&team->sleeping)) syscall(SYS_futex, &team->epoch, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* ---- CPUs: by system call, as libc's functions exist in two versions with different arguments ---- */

static void pinTo(pid_t thread, int32_t cpu) {
  unsigned char mask[kMaxCpus / 8] __attribute__((aligned(8))) = {0};
  llmcSetCpu(mask, cpu);
  syscall(SYS_sched_setaffinity, thread, sizeof mask, mask); /* best effort: a failure costs time only */
}

static bool callerMisplaced(const struct llmcTeam *team) {
  int cpu = team->pinned ? sched_getcpu() : -1;
  return cpu >= 0 && cpu < kMaxCpus && !llmcHasCpu(team->callerCpus, cpu);
}

/* ---- the team ---- */

void llmcTeamRun(struct llmcTeam *team, llmc_step_fn step, struct llmc_batch *batch) {
  unsigned char mask[kMaxCpus / 8] __attribute__((aligned(8)));
  uint64_t floatMode = enterFloatMode();
  /* The caller's affinity is its own, but one that sits on a worker's core or on a slow one would hold up all. */
  bool moved = callerMisplaced(team) && syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) > 0;
  if (moved) pinTo(0, team->firstCpu);
  batch->barrier = &team->barrier;
  team->step = step;
  team->batch = batch;
  if (team->threads > 1) startStep(team);
  step(batch, 0, team->threads);
  for (uint32_t done; (done = atomic_load_explicit(&team->finished, memory_order_acquire)) + 1 < team->threads;)
    waitForChange(&team->finished, done, team->barrier.spins);
  if (moved) syscall(SYS_sched_setaffinity, 0, sizeof mask, mask);
  leaveFloatMode(floatMode);
}

static uint64_t headBytes(int64_t threads) {
  return llmcMapSize(sizeof(struct llmcTeam) + (uint64_t)threads * sizeof(struct Member), false);
}

uint64_t llmcTeamBytes(int64_t threads) {
  uint64_t guard = llmcMapSize(1, false);
  return headBytes(threads) + (uint64_t)(threads - 1) * (kStackBytes + guard);
}

/* Signals are for the host's own threads, but faults must reach their handlers. */
int llmcStartThread(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
  sigset_t all, before;
  sigfillset(&all);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) sigdelset(&all, faults[i]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int result = pthread_create(thread, attributes, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}

static int startWorker(struct llmcTeam *team, int64_t index) {
  uint64_t guard = llmcMapSize(1, false);
  char *stack = (char *)team + headBytes(team->threads) + (uint64_t)(index - 1) * (kStackBytes + guard);
  struct Member *member = &team->members[index];
  *member = (struct Member){.team = team, .index = index};
  pthread_attr_t attributes;
  if (mprotect(stack, guard, PROT_NONE)) return errno;
  pthread_attr_init(&attributes);
  int result = pthread_attr_setstack(&attributes, stack + guard, kStackBytes);
  if (!result) result = llmcStartThread(&member->thread, &attributes, runWorker, member);
  pthread_attr_destroy(&attributes);
  return result;
}

/* Where the caller, thread 0, may stay: on the core of the first CPU, unless that is a worker's. */
static void placeCaller(struct llmcTeam *team, const struct llmcThreadPlan *plan) {
  for (int32_t i = 0; i < plan->count; ++i)
    if (plan->core[i] == plan->core[0]) llmcSetCpu(team->callerCpus, plan->cpus[i]);
  for (int64_t i = 1; i < team->threads; ++i) {
    int32_t cpu = plan->cpus[i % plan->count];
    if (cpu != team->firstCpu) team->callerCpus[cpu / 8] &= (unsigned char)~(1 << cpu % 8);
  }
}

/* A new thread has the mask of its creator: so that no thread ever runs on another's CPU, the creator takes the mask
 * before it makes the thread. */
static int startAll(struct llmcTeam *team, const struct llmcThreadPlan *plan) {
  unsigned char mask[kMaxCpus / 8] __attribute__((aligned(8)));
  bool pinned = team->pinned && syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) > 0;
  int result = 0;
  for (int64_t i = 1; i < team->threads && !result; ++i) {
    if (pinned) pinTo(0, plan->cpus[i % plan->count]);
    result = startWorker(team, i);
    if (!result) team->started = i;
  }
  if (pinned) syscall(SYS_sched_setaffinity, 0, sizeof mask, mask);
  return result;
}

int llmcTeamStart(struct llmcTeam **out, void *memory, const struct llmcThreadPlan *plan, llmc_error *error) {
  struct llmcTeam *team = memory;
  team->threads = plan->threads;
  team->pinned = plan->pin;
  team->firstCpu = plan->cpus[0];
  bool crowded = plan->threads > plan->allowed; /* then waiting for another thread only keeps it from running */
  if (plan->threads > 1 && !crowded) {
    team->barrier.spins = countSpins(kSpinNanoseconds);
    team->idleSpins = countSpins(kIdleNanoseconds);
  }
  if (team->pinned) placeCaller(team, plan);
  int result = startAll(team, plan);
  if (result) {
    llmcTeamStop(team);
    return llmcFail(error, LLMC_ERROR_NO_MEMORY, "threads: error %d (%.100s) starting thread %d of %d", result,
                    strerror(result), (int)team->started + 2, (int)plan->threads);
  }
  *out = team;
  return LLMC_OK;
}

void llmcTeamStop(struct llmcTeam *team) {
  if (!team) return;
  team->step = NULL;
  startStep(team);
  for (int64_t i = 1; i <= team->started; ++i) pthread_join(team->members[i].thread, NULL);
}
