/* topology.c: what the system says of the CPUs that are ours: affinity mask, cores, kinds, NUMA nodes, cgroup quota.
 * Text files of Linux, own parsing. What follows from it is threadplan.c. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kPath = 4096 };

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

/* ---- lists of CPUs: "0-3,8,10-11" ---- */

typedef unsigned char Mask[kMaxCpus / 8];

static void parseList(const char *text, Mask mask) {
  for (const char *at = text; *at;) {
    char *end;
    long first = strtol(at, &end, 10), last = first;
    if (end == at || first < 0) return;
    if (*end == '-') last = strtol(end + 1, &end, 10);
    for (long cpu = first; cpu <= last && cpu < kMaxCpus; ++cpu) llmcSetCpu(mask, (int32_t)cpu);
    at = *end == ',' ? end + 1 : end;
  }
}

/* False, and an empty mask, if there is no such file. */
static bool readList(const char *root, const char *path, Mask mask) {
  char line[kPath];
  memset(mask, 0, sizeof(Mask));
  bool found = readLine(root, path, line, sizeof line);
  if (found) parseList(line, mask);
  return found;
}

/* ---- CPUs ---- */

/* The number in a file of a CPU's folder, or 0. */
static int64_t readCpuNumber(const char *root, int32_t cpu, const char *file) {
  char path[128], line[64];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, file);
  return readLine(root, path, line, sizeof line) ? strtoll(line, NULL, 10) : 0;
}

/* The lowest CPU of the same core, allowed or not. */
static int32_t coreOf(const char *root, int32_t cpu) {
  char path[128];
  Mask siblings;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  readList(root, path, siblings);
  for (int32_t c = 0; c < cpu; ++c)
    if (llmcHasCpu(siblings, c)) return c;
  return cpu;
}

/* Speeds by `file`, if it tells CPUs apart. */
static bool readSpeeds(const char *root, const char *file, struct llmcMachine *m) {
  int64_t most = 0, least = INT64_MAX;
  for (int32_t i = 0; i < m->count; ++i) {
    int64_t value = readCpuNumber(root, m->cpus[i].cpu, file);
    if (value <= 0 || value > INT32_MAX) return false;
    if (value > most) most = value;
    if (value < least) least = value;
    m->cpus[i].speed = (int32_t)value;
  }
  for (int32_t i = 0; i < m->count; ++i) m->cpus[i].speed = 1 + (int32_t)((kFullSpeed - 1) * m->cpus[i].speed / most);
  return least < most;
}

/* Kinds of cores, by the best source that tells them apart: the kernel's own measure, Intel's list of the small ones,
 * the highest clock. */
static void readKinds(const char *root, struct llmcMachine *m) {
  Mask small;
  bool listed = readList(root, "/sys/devices/cpu_atom/cpus", small);
  if (readSpeeds(root, "cpu_capacity", m)) return;
  if (!listed && readSpeeds(root, "cpufreq/cpuinfo_max_freq", m)) return;
  for (int32_t i = 0; i < m->count; ++i)
    m->cpus[i].speed = listed && llmcHasCpu(small, m->cpus[i].cpu) ? kFullSpeed / 2 : kFullSpeed;
}

static void readNodes(const char *root, struct llmcMachine *m) {
  Mask nodes, cpus;
  char path[128];
  readList(root, "/sys/devices/system/node/online", nodes);
  for (int32_t node = 0; node < kMaxNodes; ++node) {
    if (!llmcHasCpu(nodes, node)) continue;
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node);
    readList(root, path, cpus);
    for (int32_t i = 0; i < m->count; ++i)
      if (llmcHasCpu(cpus, m->cpus[i].cpu)) m->cpus[i].node = node;
  }
}

void llmcReadMachine(const char *root, const unsigned char *allowed, struct llmcMachine *m) {
  Mask own = {0}, online;
  /* The system call and not libc's function: that one has two versions with different arguments. */
  if (!allowed && syscall(SYS_sched_getaffinity, 0, sizeof own, own) <= 0) own[0] = 1;
  if (!allowed) allowed = own;
  bool known = readList(root, "/sys/devices/system/cpu/online", online);
  m->count = 0;
  for (int32_t cpu = 0; cpu < kMaxCpus && m->count < kMaxThreads; ++cpu)
    if (llmcHasCpu(allowed, cpu) && (!known || llmcHasCpu(online, cpu)))
      m->cpus[m->count++] = (struct llmcCpu){.cpu = cpu, .core = coreOf(root, cpu)};
  if (!m->count) m->cpus[m->count++] = (struct llmcCpu){.cpu = 0};
  readKinds(root, m);
  readNodes(root, m);
  m->quota = llmcCpuQuota(root);
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
