// From made-up machines, as files of /proc and /sys, to threads, their CPUs and the reasons in words.
#include "Hooks.h"
#include "Tree.h"
#include "runtime/internal.h"
#include <gtest/gtest.h>

namespace {
using llmc::test::Tree;

/// CPUs first..last with something in common.
struct Group {
  int first, last;
  int siblings = 1;      // CPUs of a core, side by side
  const char *file = ""; // of each CPU's folder, and what is in it
  std::string text;
};

/// `siblingDistance`: CPU i and i + distance share a core, as Linux numbers them; 0: not.
struct Machine {
  std::vector<Group> groups;
  int siblingDistance = 0;
  std::vector<std::pair<std::string, std::string>> files; // anything else
};

struct Case {
  const char *name;
  Machine machine;
  std::vector<std::pair<int, int>> allowed; // ranges
  int asked;
  uint32_t pin;
  std::vector<int32_t> cpus; // of the threads
  bool pinned;
  uint64_t nodes;
  const char *words;
};

std::string range(int first, int last) { return std::to_string(first) + "-" + std::to_string(last); }

void build(const Machine &machine, const Tree &tree) {
  auto write = [&](int cpu, const std::string &file, const std::string &text) {
    tree.write("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/" + file, text);
  };
  for (const Group &group : machine.groups)
    for (int cpu = group.first; cpu <= group.last; ++cpu) {
      int first = cpu - (cpu - group.first) % group.siblings, distance = machine.siblingDistance;
      std::string siblings = group.siblings > 1 ? range(first, first + group.siblings - 1) : std::to_string(cpu);
      if (distance) siblings = std::to_string(cpu % distance) + "," + std::to_string(cpu % distance + distance);
      write(cpu, "topology/thread_siblings_list", siblings);
      if (*group.file) write(cpu, group.file, group.text);
    }
  for (const auto &[path, text] : machine.files) tree.write(path, text);
}

std::vector<std::pair<std::string, std::string>> quota(const std::string &text) {
  return {{"/proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"},
          {"/proc/self/cgroup", "0::/"},
          {"/sys/fs/cgroup/cpu.max", text}};
}

std::vector<int32_t> numbers(int first, int last) {
  std::vector<int32_t> all;
  for (int i = first; i <= last; ++i) all.push_back(i);
  return all;
}

const Machine kPlain = {{{0, 3}}};
const Machine kSmt = {{{0, 7, 2}}};
const Machine kTwoSockets = {{{0, 31}},
                             16,
                             {{"/sys/devices/system/node/online", "0-1"},
                              {"/sys/devices/system/node/node0/cpulist", "0-7,16-23"},
                              {"/sys/devices/system/node/node1/cpulist", "8-15,24-31"}}};
/// 8 fast cores with two threads each, then slow ones, as Intel numbers them.
Machine hybrid(int slow, const char *capacity) {
  Machine machine = {{{0, 15, 2, "cpu_capacity", "1024"}, {16, 15 + slow, 1, "cpu_capacity", capacity}}, 0, {}};
  return machine;
}
Machine atoms(int fast, int slow) {
  Machine machine = {{{0, fast + slow - 1}}, 0, {}};
  machine.files = {{"/sys/devices/cpu_core/cpus", range(0, fast - 1)},
                   {"/sys/devices/cpu_atom/cpus", range(fast, fast + slow - 1)}};
  return machine;
}
const Machine kCompact = {
    {{0, 3, 1, "cpufreq/cpuinfo_max_freq", "5000000"}, {4, 7, 1, "cpufreq/cpuinfo_max_freq", "3300000"}}, 0, {}};
const Machine kTurbo = {
    {{0, 1, 1, "cpufreq/cpuinfo_max_freq", "5100000"}, {2, 7, 1, "cpufreq/cpuinfo_max_freq", "4900000"}}, 0, {}};
const Machine kArm = {
    {{0, 3, 1, "cpu_capacity", "400"}, {4, 6, 1, "cpu_capacity", "900"}, {7, 7, 1, "cpu_capacity", "1024"}}, 0, {}};
Machine with(Machine machine, const std::vector<std::pair<std::string, std::string>> &files) {
  machine.files.insert(machine.files.end(), files.begin(), files.end());
  return machine;
}

const Case kCases[] = {
    {"a plain machine",
     kPlain,
     {{0, 3}},
     0,
     0,
     {0, 1, 2, 3},
     true,
     1,
     "4 threads, each on a CPU of its own: 4 CPUs allowed, 4 cores"},
    {"no /sys", {}, {{0, 2}}, 0, 0, {0, 1, 2}, true, 1, "3 threads, each on a CPU of its own: 3 CPUs allowed, 3 cores"},
    {"one CPU", kPlain, {{2, 2}}, 0, 0, {2}, false, 1, "1 thread: 1 CPU allowed, 1 core"},
    {"two threads a core",
     kSmt,
     {{0, 7}},
     0,
     0,
     {0, 2, 4, 6},
     true,
     1,
     "4 threads, each on a CPU of its own: 8 CPUs allowed, 4 cores (SMT siblings share one)"},
    {"two threads a core, all wanted",
     kSmt,
     {{0, 7}},
     8,
     0,
     {0, 2, 4, 6, 1, 3, 5, 7},
     true,
     1,
     "8 threads as asked for, 4 by default, each on a CPU of its own: 8 CPUs allowed, 4 cores (SMT siblings share "
     "one)"},
    {"SMT off: siblings are offline",
     with(kSmt, {{"/sys/devices/system/cpu/online", "0,2,4,6"}}),
     {{0, 7}},
     0,
     0,
     {0, 2, 4, 6},
     true,
     1,
     "4 threads, each on a CPU of its own: 4 CPUs allowed, 4 cores"},
    {"some CPUs offline",
     with(kPlain, {{"/sys/devices/system/cpu/online", "0,3"}}),
     {{0, 3}},
     0,
     0,
     {0, 3},
     true,
     1,
     "2 threads, each on a CPU of its own: 2 CPUs allowed, 2 cores"},
    {"taskset, halves of two cores and a whole one",
     kSmt,
     {{1, 2}, {4, 5}},
     0,
     0,
     {1, 2, 4},
     true,
     1,
     "3 threads, each on a CPU of its own: 4 CPUs allowed, 3 cores (SMT siblings share one)"},
    {"a container of 1.5 CPUs",
     with(kPlain, quota("150000 100000")),
     {{0, 3}},
     0,
     0,
     {0, 1},
     false,
     1,
     "2 threads, not pinned: 4 CPUs allowed, 4 cores, cgroup quota 1.5"},
    {"a container of 1.2 CPUs",
     with(kPlain, quota("120000 100000")),
     {{0, 3}},
     0,
     0,
     {0},
     false,
     1,
     "1 thread: 4 CPUs allowed, 4 cores, cgroup quota 1.2"},
    {"a container of 0.1 CPUs",
     with(kPlain, quota("10000 100000")),
     {{0, 3}},
     0,
     0,
     {0},
     false,
     1,
     "1 thread: 4 CPUs allowed, 4 cores, cgroup quota 0.1"},
    {"a quota nearly as large as the machine",
     with(kPlain, quota("390000 100000")),
     {{0, 3}},
     0,
     0,
     {0, 1, 2, 3},
     true,
     1,
     "4 threads, each on a CPU of its own: 4 CPUs allowed, 4 cores, cgroup quota 3.9"},
    {"two cores of four CPUs with a quota of 2",
     with(kSmt, quota("200000 100000")),
     {{0, 3}},
     0,
     0,
     {0, 2},
     true,
     1,
     "2 threads, each on a CPU of its own: 4 CPUs allowed, 2 cores (SMT siblings share one), cgroup quota 2.0"},
    {"fewer than the cores, as asked for",
     kPlain,
     {{0, 3}},
     2,
     0,
     {0, 1},
     false,
     1,
     "2 threads as asked for, 4 by default, not pinned: 4 CPUs allowed, 4 cores"},
    {"fewer than the cores, pinned",
     kPlain,
     {{0, 3}},
     2,
     1,
     {0, 1},
     true,
     1,
     "2 threads as asked for, 4 by default, each on a CPU of its own: 4 CPUs allowed, 4 cores"},
    {"never pinned", kPlain, {{0, 3}}, 0, 2, {0, 1, 2, 3}, false, 1, "4 threads, not pinned: 4 CPUs allowed, 4 cores"},
    {"8 fast, 8 slow cores",
     hybrid(8, "650"),
     {{0, 23}},
     0,
     0,
     {0, 2, 4, 6, 8, 10, 12, 14},
     true,
     1,
     "8 threads, each on a CPU of its own: 24 CPUs allowed, 16 cores (SMT siblings share one) of 2 kinds, 8 of them "
     "fast: "
     "others would wait for slow ones"},
    {"8 fast, 8 slow cores, more wanted",
     hybrid(8, "650"),
     {{0, 23}},
     10,
     0,
     {0, 2, 4, 6, 8, 10, 12, 14, 16, 17},
     false,
     1,
     "10 threads as asked for, 8 by default, not pinned: 24 CPUs allowed, 16 cores (SMT siblings share one) of 2 "
     "kinds, "
     "8 of them fast: others would wait for slow ones"},
    {"the same by lists of kinds",
     atoms(8, 8),
     {{0, 15}},
     0,
     0,
     numbers(0, 7),
     true,
     1,
     "8 threads, each on a CPU of its own: 16 CPUs allowed, 16 cores of 2 kinds, 8 of them fast: others would wait for "
     "slow ones"},
    {"2 fast, 8 slow cores: all are faster than 2",
     atoms(2, 8),
     {{0, 9}},
     0,
     0,
     numbers(0, 9),
     true,
     1,
     "10 threads, each on a CPU of its own: 10 CPUs allowed, 10 cores of 2 kinds"},
    {"only slow cores allowed",
     atoms(8, 8),
     {{8, 15}},
     0,
     0,
     numbers(8, 15),
     true,
     1,
     "8 threads, each on a CPU of its own: 8 CPUs allowed, 8 cores"},
    {"compact cores, by their clock",
     kCompact,
     {{0, 7}},
     0,
     0,
     numbers(0, 3),
     true,
     1,
     "4 threads, each on a CPU of its own: 8 CPUs allowed, 8 cores of 2 kinds, 4 of them fast: others would wait for "
     "slow "
     "ones"},
    {"favoured cores are no kind of their own",
     kTurbo,
     {{0, 7}},
     0,
     0,
     numbers(0, 7),
     true,
     1,
     "8 threads, each on a CPU of its own: 8 CPUs allowed, 8 cores"},
    {"1 + 3 + 4 cores",
     kArm,
     {{0, 7}},
     0,
     0,
     {4, 5, 6, 7},
     true,
     1,
     "4 threads, each on a CPU of its own: 8 CPUs allowed, 8 cores of 2 kinds, 4 of them fast: others would wait for "
     "slow "
     "ones"},
    {"two sockets",
     kTwoSockets,
     {{0, 31}},
     0,
     0,
     numbers(0, 15),
     true,
     3,
     "16 threads, each on a CPU of its own: 32 CPUs allowed, 16 cores (SMT siblings share one), 2 NUMA nodes"},
    {"two sockets, some threads anywhere",
     kTwoSockets,
     {{0, 31}},
     4,
     0,
     {0, 1, 2, 3},
     false,
     3,
     "4 threads as asked for, 16 by default, not pinned: 32 CPUs allowed, 16 cores (SMT siblings share one), 2 NUMA "
     "nodes"},
    {"two sockets, pinned to one",
     kTwoSockets,
     {{0, 31}},
     4,
     1,
     {0, 1, 2, 3},
     true,
     1,
     "4 threads as asked for, 16 by default, each on a CPU of its own: 32 CPUs allowed, 16 cores (SMT siblings share "
     "one)"},
    {"the second socket alone",
     kTwoSockets,
     {{8, 15}, {24, 31}},
     0,
     0,
     numbers(8, 15),
     true,
     2,
     "8 threads, each on a CPU of its own: 16 CPUs allowed, 8 cores (SMT siblings share one)"},
    {"damaged files",
     {{{0, 1, 1, "cpu_capacity", "many"}},
      0,
      {{"/sys/devices/system/node/online", "9-1,x"}, {"/sys/devices/cpu_atom/cpus", "-3-,"}}},
     {{0, 1}},
     0,
     0,
     {0, 1},
     true,
     1,
     "2 threads, each on a CPU of its own: 2 CPUs allowed, 2 cores"},
};

TEST(ThreadPlan, table) {
  for (const Case &c : kCases) {
    SCOPED_TRACE(c.name);
    Tree tree;
    build(c.machine, tree);
    unsigned char allowed[kMaxCpus / 8] = {};
    for (auto [first, last] : c.allowed)
      for (int cpu = first; cpu <= last; ++cpu) llmcSetCpu(allowed, cpu);
    llmcMachine machine;
    llmcThreadPlan plan;
    llmcReadMachine(tree.root.c_str(), allowed, &machine);
    llmcPlanThreads(&machine, c.asked, c.pin, &plan);
    ASSERT_EQ(size_t(plan.threads), c.cpus.size());
    EXPECT_EQ(std::vector<int32_t>(plan.cpus, plan.cpus + plan.threads), c.cpus);
    EXPECT_EQ(plan.pin, c.pinned);
    EXPECT_EQ(plan.nodeMask, c.nodes);
    char words[512];
    EXPECT_EQ(llmcDescribeThreads(&plan, words, sizeof words), strlen(words));
    EXPECT_STREQ(words, c.words);
  }
}

TEST(ThreadPlan, wordsAreCut) {
  llmcMachine machine = {.count = 1, .quota = 0, .cpus = {{.cpu = 0, .core = 0, .node = 0, .speed = kFullSpeed}}};
  llmcThreadPlan plan;
  llmcPlanThreads(&machine, 0, 0, &plan);
  char words[8] = "xxxxxxx";
  EXPECT_EQ(llmcDescribeThreads(&plan, words, 5), strlen("1 thread: 1 CPU allowed, 1 core"));
  EXPECT_STREQ(words, "1 th");
  EXPECT_EQ(llmcDescribeThreads(&plan, nullptr, 0), strlen("1 thread: 1 CPU allowed, 1 core"));
}

TEST(Numa, memoryIsInterleavedOverSeveralNodesOnly) {
  llmc::test::interleavedNodes = 0, llmc::test::interleavedBytes = 0;
  char memory[64];
  EXPECT_TRUE(llmcInterleave(memory, sizeof memory, 0b100));
  EXPECT_TRUE(llmcInterleaveThread(0b1));
  EXPECT_EQ(llmc::test::interleavedNodes, 0u);
  EXPECT_TRUE(llmcInterleave(memory, sizeof memory, 0b101));
  EXPECT_EQ(llmc::test::interleavedNodes, 0b101u);
  EXPECT_EQ(llmc::test::interleavedBytes, int64_t(sizeof memory));
  EXPECT_TRUE(llmcInterleaveThread(0b11));
  EXPECT_EQ(llmc::test::interleavedNodes, 0b11u);
}

} // namespace
