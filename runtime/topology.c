/* topology.c: how many CPUs are really ours: affinity mask, cores, cgroup quota. Text files of Linux, own parsing. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kPath = 4096, kMaxCpus = 8192 };

static FILE *openUnder(const char *root, const char *path) {
  char name[kPath];
  int length = snprintf(name, sizeof name, "%s%s", root, path);
  return length > 0 && length < kPath ? fopen(name, "re") : NULL;
}

/* First line of a file without its newline; false if there is none. */
static bool readLine(const char *root, const char *path, char *line, int size) {
  FILE *file = openUnder(root, path);
  if (!file) return false;
  bool read = fgets(line, size, file) != NULL;
  fclose(file);
  if (read) line[strcspn(line, "\n")] = 0;
  return read;
}

/* ---- CPUs ---- */

/* CPUs of the same core that are in the mask and have a lower number. */
static int lowerSiblings(const char *root, int cpu, const unsigned char *mask) {
  char path[128], line[256];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  if (!readLine(root, path, line, sizeof line)) return 0;
  int lower = 0;
  for (char *at = line; *at;) { /* "0-1,64-65" */
    char *end;
    long first = strtol(at, &end, 10), last = first;
    if (end == at) break;
    if (*end == '-') last = strtol(end + 1, &end, 10);
    for (long c = first < 0 ? 0 : first; c <= last && c < cpu; ++c) lower += mask[c / 8] >> (c % 8) & 1;
    at = *end == ',' ? end + 1 : end;
  }
  return lower;
}

int llmcAllowedCpus(const char *root, int32_t *cpus, int capacity) {
  unsigned char mask[kMaxCpus / 8] __attribute__((aligned(8))) = {0};
  int32_t order[kMaxCpus];
  uint8_t rank[kMaxCpus];
  int count = 0, written = 0, lastRank = 0;
  /* The system call and not libc's function: that one has two versions with different arguments. */
  if (syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) <= 0) mask[0] = 1;
  for (int cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (!(mask[cpu / 8] >> (cpu % 8) & 1)) continue;
    int lower = capacity > 1 ? lowerSiblings(root, cpu, mask) : 0;
    rank[count] = (uint8_t)(lower < 255 ? lower : 255);
    if (rank[count] > lastRank) lastRank = rank[count];
    order[count++] = cpu;
  }
  for (int r = 0; r <= lastRank; ++r)
    for (int i = 0; i < count && written < capacity; ++i)
      if (rank[i] == r) cpus[written++] = order[i];
  return count;
}

/* ---- quota ---- */

/* "50000 100000" (v2) or two files (v1): CPUs, or 0 for none. */
static double groupQuota(const char *root, const char *group, bool v2) {
  char path[kPath], line[64];
  long long quota = -1, period = 0;
  if (v2) {
    if (snprintf(path, sizeof path, "%s/cpu.max", group) >= kPath || !readLine(root, path, line, sizeof line)) return 0;
    if (sscanf(line, "%lld %lld", &quota, &period) != 2) return 0; /* "max 100000" */
  } else {
    if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", group) >= kPath) return 0;
    if (readLine(root, path, line, sizeof line)) quota = strtoll(line, NULL, 10);
    if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", group) >= kPath) return 0;
    if (readLine(root, path, line, sizeof line)) period = strtoll(line, NULL, 10);
  }
  return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

static bool hasWord(const char *list, const char *word) {
  size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += length)
    if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return true;
  return false;
}

/* This process's group in the hierarchy that has the cpu controller: lines "4:cpu,cpuacct:/a/b" or "0::/a/b". */
static bool ownGroup(const char *root, bool v2, char *group, size_t size) {
  FILE *file = openUnder(root, "/proc/self/cgroup");
  char line[kPath];
  bool found = false;
  while (file && !found && fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) continue;
    *path++ = 0;
    ++controllers;
    if (v2 ? *controllers != 0 : !hasWord(controllers, "cpu")) continue;
    found = snprintf(group, size, "%s", path) < (int)size;
  }
  if (file) fclose(file);
  return found;
}

/* The lowest quota from the group at mountPoint + path up to the mount point. */
static double lowestQuota(const char *root, const char *mountPoint, const char *path, bool v2) {
  char group[kPath];
  if (snprintf(group, sizeof group, "%s%s", mountPoint, path) >= kPath) return 0;
  size_t top = strlen(mountPoint);
  double lowest = 0;
  for (;;) {
    size_t length = strlen(group);
    while (length > top && group[length - 1] == '/') group[--length] = 0;
    double quota = groupQuota(root, group, v2);
    if (quota > 0 && (lowest == 0 || quota < lowest)) lowest = quota;
    if (length <= top) return lowest;
    *strrchr(group, '/') = 0;
  }
}

/* A mount of /proc/self/mountinfo: "36 35 0:31 /root /mount/point options - cgroup2 source options" (proc(5)). */
static double mountQuota(const char *root, char *line) {
  char *separator = strstr(line, " - "), mountRoot[kPath], mountPoint[kPath], type[32], options[256] = "", group[kPath];
  if (!separator || sscanf(line, "%*s %*s %*s %4095s %4095s", mountRoot, mountPoint) != 2) return 0;
  if (sscanf(separator + 3, "%31s %*s %255s", type, options) < 1) return 0;
  bool v2 = !strcmp(type, "cgroup2");
  if (!v2 && (strcmp(type, "cgroup") || !hasWord(options, "cpu"))) return 0;
  if (!ownGroup(root, v2, group, sizeof group)) return 0;
  /* In a container the mount may show only a part of the tree, at best our own group. */
  size_t prefix = strcmp(mountRoot, "/") ? strlen(mountRoot) : 0;
  bool below = !strncmp(group, mountRoot, prefix) && (!prefix || group[prefix] == 0 || group[prefix] == '/');
  return lowestQuota(root, mountPoint, below ? group + prefix : "", v2);
}

double llmcCpuQuota(const char *root) {
  FILE *file = openUnder(root, "/proc/self/mountinfo");
  char line[kPath];
  double lowest = 0;
  while (file && fgets(line, sizeof line, file)) {
    double quota = mountQuota(root, line);
    if (quota > 0 && (lowest == 0 || quota < lowest)) lowest = quota;
  }
  if (file) fclose(file);
  return lowest;
}

int llmcDefaultThreads(int allowedCpus, double quota) {
  /* The nearest whole number: 3.9 CPUs carry 4 threads that are stopped for 2% of the time, but 1.2 CPUs do not carry
   * two, which would wait for each other 40% of the time. */
  int threads = allowedCpus;
  if (quota > 0 && quota + 0.5 < threads) threads = (int)(quota + 0.5);
  if (threads > kMaxThreads) threads = kMaxThreads;
  return threads < 1 ? 1 : threads;
}
