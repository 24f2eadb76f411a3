// The team alone: every member runs once per step, barriers hold, float mode and affinity of the caller are its own.
#include "Hooks.h"
#include "runtime/internal.h"
#include <atomic>
#include <cfenv>
#include <cfloat>
#include <chrono>
#include <gtest/gtest.h>
#include <sched.h>
#include <thread>

namespace {

struct Team {
  uint64_t bytes;
  void *memory;
  llmcTeam *team = nullptr;
  explicit Team(int64_t threads, uint32_t pin = 0) : bytes(llmcTeamBytes(threads)), memory(llmcMap(bytes, false)) {
    llmc_error error = {};
    llmcMachine machine;
    llmcThreadPlan plan;
    llmcReadMachine("", nullptr, &machine);
    llmcPlanThreads(&machine, threads, pin, &plan);
    if (llmcTeamStart(&team, memory, &plan, &error)) ADD_FAILURE() << error.message;
  }
  ~Team() {
    llmcTeamStop(team);
    llmcUnmap(memory, bytes, false);
  }
  void run(llmc_step_fn step) {
    llmc_batch batch = {};
    llmcTeamRun(team, step, &batch);
  }
};

constexpr int kRounds = 2000;
std::atomic<int64_t> calls, mistakes;
int64_t slots[64][16]; // one line per thread, plain memory: the barrier orders it

/// Each round: write own slot, wait, check all slots, wait.
void rounds(const llmc_batch *batch, int64_t thread, int64_t threads) {
  ++calls;
  for (int64_t round = 1; round <= kRounds; ++round) {
    slots[thread][0] = round;
    llmc_step_barrier(batch, thread, threads);
    for (int64_t t = 0; t < threads; ++t) mistakes += slots[t][0] != round;
    llmc_step_barrier(batch, thread, threads);
  }
}

TEST(Threads, barrierStress) {
  for (int64_t threads : {1, 2, 3, 4, 8}) {
    Team team(threads);
    calls = mistakes = 0;
    team.run(rounds);
    team.run(rounds);
    EXPECT_EQ(calls, 2 * threads);
    EXPECT_EQ(mistakes, 0);
  }
}

void count(const llmc_batch *, int64_t, int64_t) { ++calls; }

TEST(Threads, sleepersWake) {
  for (uint32_t pin : {0, 1, 2})
    for (int64_t threads : {2, 4}) {
      Team team(threads, pin);
      calls = 0;
      for (int i = 0; i < 20; ++i) {
        if (i % 2) std::this_thread::sleep_for(std::chrono::milliseconds(2)); // long enough for all to sleep
        team.run(count);
        EXPECT_EQ(calls, (i + 1) * threads);
      }
    }
}

TEST(Threads, stopsWhetherAsleepOrNot) {
  for (int i = 0; i < 50; ++i) {
    Team team(3);
    if (i % 2) team.run(count);
    if (i % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

std::atomic<int64_t> denormals;
void makeDenormal(const llmc_batch *, int64_t, int64_t) {
  volatile float least = FLT_MIN;
  volatile float half = least * 0.5f; // 0 if denormals are flushed
  denormals += half != 0;
  volatile float one = 1, eps = FLT_EPSILON / 4;
  mistakes += one + eps != 1; // not so when rounding up
}

TEST(Threads, floatModeIsSetAndRestored) {
  denormals = mistakes = 0;
  {
    Team team(3);
    fesetround(FE_UPWARD);
    team.run(makeDenormal);
    EXPECT_EQ(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
  }
  EXPECT_EQ(denormals, 0);
  EXPECT_EQ(mistakes, 0);
  makeDenormal(nullptr, 0, 1);
  EXPECT_EQ(denormals, 1);
}

TEST(Threads, affinityOfTheCallerStays) {
  cpu_set_t before, after;
  sched_getaffinity(0, sizeof before, &before);
  Team team(2, 1);
  for (int i = 0; i < 50; ++i) team.run(count);
  sched_getaffinity(0, sizeof after, &after);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

cpu_set_t workerMask;
void readMask(const llmc_batch *, int64_t thread, int64_t) {
  if (thread == 1) sched_getaffinity(0, sizeof workerMask, &workerMask);
}

TEST(Threads, workersArePinnedIfAsked) {
  llmcMachine machine;
  llmcThreadPlan plan;
  llmcReadMachine("", nullptr, &machine);
  llmcPlanThreads(&machine, 2, 1, &plan);
  if (plan.allowed < 2) GTEST_SKIP() << "needs two CPUs";
  {
    Team team(2, 1);
    team.run(readMask);
    EXPECT_EQ(CPU_COUNT(&workerMask), 1);
    EXPECT_TRUE(CPU_ISSET(plan.cpus[1], &workerMask));
  }
  Team team(2, 2);
  team.run(readMask);
  EXPECT_EQ(CPU_COUNT(&workerMask), plan.allowed);
}

TEST(Threads, twoTeamsAtOnce) {
  calls = mistakes = 0;
  auto work = [] {
    Team team(2);
    for (int i = 0; i < 200; ++i) team.run(count);
  };
  std::thread a(work), b(work);
  a.join();
  b.join();
  EXPECT_EQ(calls, 800);
}

void twoThousandBarriers(const llmc_batch *batch, int64_t thread, int64_t threads) {
  for (int i = 0; i < kRounds; ++i) llmc_step_barrier(batch, thread, threads);
}

/// Not a limit, a number to look at.
TEST(Threads, barrierCost) {
  for (int64_t threads : {2, 4}) {
    Team team(threads);
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
      auto start = std::chrono::steady_clock::now();
      team.run(twoThousandBarriers);
      std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
      best = std::min(best, time.count() / kRounds);
    }
    RecordProperty("nanoseconds_" + std::to_string(threads), int(best));
    printf("%d threads: %.0f ns a barrier\n", int(threads), best);
  }
}

} // namespace
