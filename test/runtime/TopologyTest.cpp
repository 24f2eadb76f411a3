// cgroup quotas from made-up /proc and /sys trees; the CPUs of this thread.
#include "Tree.h"
#include "runtime/internal.h"
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

namespace {
using llmc::test::Tree;

struct QuotaCase {
  const char *name;
  std::vector<std::pair<const char *, const char *>> files;
  double quota;
};

constexpr const char *kMounts = "/proc/self/mountinfo", *kGroups = "/proc/self/cgroup";
constexpr const char *kV2 = "22 1 0:21 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - "
                            "cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char *kV1 = "33 28 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                            "34 28 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";

const QuotaCase kCases[] = {
    {"nothing", {}, 0},
    {"v2 without limit", {{kMounts, kV2}, {kGroups, "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "max 100000\n"}}, 0},
    {"v2 at the root of a container",
     {{kMounts, kV2}, {kGroups, "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "150000 100000\n"}},
     1.5},
    {"v2 in a group", {{kMounts, kV2}, {kGroups, "0::/a/b\n"}, {"/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"}}, 4},
    {"v2, the lowest of all levels",
     {{kMounts, kV2},
      {kGroups, "0::/a/b/c\n"},
      {"/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n"},
      {"/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n"},
      {"/sys/fs/cgroup/a/cpu.max", "300000 100000\n"}},
     3},
    {"v2, a group of its siblings does not count",
     {{kMounts, kV2}, {kGroups, "0::/a\n"}, {"/sys/fs/cgroup/b/cpu.max", "100000 100000\n"}},
     0},
    {"v2, the mount is the group",
     {{kMounts, "30 24 0:26 /pod/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
      {kGroups, "0::/pod/x/y\n"},
      {"/sys/fs/cgroup/y/cpu.max", "50000 100000\n"}},
     0.5},
    {"v2, the mount is another group",
     {{kMounts, "30 24 0:26 /pod/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
      {kGroups, "0::/pod/xy\n"},
      {"/sys/fs/cgroup/cpu.max", "250000 100000\n"}},
     2.5},
    {"v1",
     {{kMounts, kV1},
      {kGroups, "5:cpuset:/z\n4:cpu,cpuacct:/a\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}},
     2},
    {"v1 without limit",
     {{kMounts, kV1},
      {kGroups, "4:cpu,cpuacct:/\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"}},
     0},
    {"v1 in docker: the path is the host's, the mount is the group",
     {{kMounts, "33 28 0:28 /docker/ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"},
      {kGroups, "4:cpu:/docker/ab\n"},
      {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "600000\n"},
      {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "200000\n"}},
     3},
    {"v1 cpuset is not cpu",
     {{kMounts, "34 28 0:29 / /cg rw - cgroup cgroup rw,cpuset\n"},
      {kGroups, "4:cpuset:/\n"},
      {"/cg/cpu.cfs_quota_us", "100000\n"},
      {"/cg/cpu.cfs_period_us", "100000\n"}},
     0},
    {"both, the lower one",
     {{kMounts, "30 24 0:26 / /u rw - cgroup2 none rw\n33 28 0:28 / /c rw - cgroup cgroup rw,cpu\n"},
      {kGroups, "4:cpu:/\n0::/\n"},
      {"/u/cpu.max", "700000 100000\n"},
      {"/c/cpu.cfs_quota_us", "200000\n"},
      {"/c/cpu.cfs_period_us", "100000\n"}},
     2},
    {"damaged files",
     {{kMounts, "30 24\n- cgroup2\n30 24 0:26 / /u rw - cgroup2 none rw\n"},
      {kGroups, "garbage\n0:\n0::/\n"},
      {"/u/cpu.max", "many few\n"}},
     0},
    {"zero period", {{kMounts, kV2}, {kGroups, "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "1000 0\n"}}, 0},
};

TEST(Topology, quotaTable) {
  for (const QuotaCase &c : kCases) {
    Tree tree;
    for (auto [path, text] : c.files) tree.write(path, text);
    EXPECT_DOUBLE_EQ(llmcCpuQuota(tree.root.c_str()), c.quota) << c.name;
  }
}

TEST(Topology, cpusAreTheAffinityMask) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  llmcMachine machine;
  llmcReadMachine("", nullptr, &machine);
  ASSERT_EQ(machine.count, CPU_COUNT(&before));
  for (int i = 0; i < machine.count; ++i) EXPECT_TRUE(CPU_ISSET(machine.cpus[i].cpu, &before));
  int32_t last = machine.cpus[machine.count - 1].cpu;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  llmcReadMachine("", nullptr, &machine);
  sched_setaffinity(0, sizeof before, &before);
  ASSERT_EQ(machine.count, 1);
  EXPECT_EQ(machine.cpus[0].cpu, last);
}

} // namespace
