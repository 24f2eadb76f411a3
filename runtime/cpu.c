/* cpu.c: which features this CPU and operating system have. */
#include "internal.h"
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum Register { kEax, kEbx, kEcx, kEdx };
/* State that the operating system must save, bits of XCR0 (Intel SDM volume 1, section 13.3). */
enum { kNoState = 0, kYmm = 0x6, kZmm = 0xe6, kTiles = 0x60000 };

/* One row per bit of enum Feature in codegen/Target.h, in its order: the only place where the two meet. Leaf 0: never
 * on this architecture. CPUID bits: Intel SDM volume 2, CPUID. */
static const struct FeatureBit {
  const char *name;
  uint32_t leaf, subleaf;
  enum Register reg;
  uint32_t bit, state;
} kFeatures[] = {
    /* clang-format off */
    {"sse4.2", 1, 0, kEcx, 20, kNoState},
    {"avx", 1, 0, kEcx, 28, kYmm},
    {"avx2", 7, 0, kEbx, 5, kYmm},
    {"fma", 1, 0, kEcx, 12, kYmm},
    {"f16c", 1, 0, kEcx, 29, kYmm},
    {"bmi2", 7, 0, kEbx, 8, kNoState},
    {"avxvnni", 7, 1, kEax, 4, kYmm},
    {"avx512f", 7, 0, kEbx, 16, kZmm},
    {"avx512bw", 7, 0, kEbx, 30, kZmm},
    {"avx512dq", 7, 0, kEbx, 17, kZmm},
    {"avx512vl", 7, 0, kEbx, 31, kZmm},
    {"avx512cd", 7, 0, kEbx, 28, kZmm},
    {"avx512vnni", 7, 0, kEcx, 11, kZmm},
    {"avx512vbmi", 7, 0, kEcx, 1, kZmm},
    {"avx512bf16", 7, 1, kEax, 5, kZmm},
    {"avx512fp16", 7, 0, kEdx, 23, kZmm},
    {"amx-tile", 7, 0, kEdx, 24, kTiles},
    {"amx-int8", 7, 0, kEdx, 25, kTiles},
    {"amx-bf16", 7, 0, kEdx, 22, kTiles},
    {"amx-fp16", 7, 1, kEax, 21, kTiles},
    {"neon", 0, 0, kEax, 0, kNoState},
    {"dotprod", 0, 0, kEax, 0, kNoState},
    {"i8mm", 0, 0, kEax, 0, kNoState},
    {"bf16", 0, 0, kEax, 0, kNoState},
    {"sve", 0, 0, kEax, 0, kNoState},
    /* clang-format on */
};

/* State components that the system saves: XCR0, or none without XSAVE. */
static uint32_t savedState(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return a;
}

static bool hasFeature(const struct FeatureBit *f, uint32_t saved) {
  uint32_t r[4], limit = 0;
  if (!f->leaf || (saved & f->state) != f->state) return false;
  /* Sub-leaves past the last one are not zero on every CPU: the last is in eax of sub-leaf 0. */
  if (f->subleaf && (!__get_cpuid_count(f->leaf, 0, &limit, &r[1], &r[2], &r[3]) || f->subleaf > limit)) return false;
  if (!__get_cpuid_count(f->leaf, f->subleaf, &r[0], &r[1], &r[2], &r[3])) return false;
  return r[f->reg] >> f->bit & 1;
}

static bool allowState(uint32_t state) {
  enum { kRequestPermission = 0x1023, kTileData = 18 }; /* ARCH_REQ_XCOMP_PERM, Linux 5.16 */
  return state != kTiles || !syscall(SYS_arch_prctl, kRequestPermission, kTileData);
}

static bool have(unsigned bit) {
  const struct FeatureBit *f = &kFeatures[bit];
  return hasFeature(f, savedState()) && allowState(f->state);
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

/* As above; bits of AT_HWCAP and AT_HWCAP2 (Linux, Documentation/arch/arm64/elf_hwcaps.rst); key 0: never. */
static const struct FeatureBit {
  const char *name;
  unsigned long key;
  unsigned bit;
} kFeatures[] = {
    /* clang-format off */
    {"sse4.2", 0, 0}, {"avx", 0, 0}, {"avx2", 0, 0}, {"fma", 0, 0}, {"f16c", 0, 0}, {"bmi2", 0, 0}, {"avxvnni", 0, 0},
    {"avx512f", 0, 0}, {"avx512bw", 0, 0}, {"avx512dq", 0, 0}, {"avx512vl", 0, 0}, {"avx512cd", 0, 0},
    {"avx512vnni", 0, 0}, {"avx512vbmi", 0, 0}, {"avx512bf16", 0, 0}, {"avx512fp16", 0, 0}, {"amx-tile", 0, 0},
    {"amx-int8", 0, 0}, {"amx-bf16", 0, 0}, {"amx-fp16", 0, 0},
    {"neon", AT_HWCAP, 1},
    {"dotprod", AT_HWCAP, 20},
    {"i8mm", AT_HWCAP2, 13},
    {"bf16", AT_HWCAP2, 14},
    {"sve", AT_HWCAP, 22},
    /* clang-format on */
};

static bool have(unsigned bit) { return kFeatures[bit].key && getauxval(kFeatures[bit].key) >> kFeatures[bit].bit & 1; }

#else
#error "cpu.c: expected x86-64 or aarch64"
#endif

enum { kFeatureCount = sizeof kFeatures / sizeof *kFeatures };

uint64_t llmcCpuFeatures(uint64_t wanted) {
  uint64_t found = 0;
  for (unsigned bit = 0; bit < kFeatureCount; ++bit)
    if (wanted >> bit & 1 && have(bit)) found |= (uint64_t)1 << bit;
  return found;
}

const char *llmcFeatureName(unsigned bit) { return bit < kFeatureCount ? kFeatures[bit].name : NULL; }

void llmcFeatureNames(uint64_t features, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (unsigned bit = 0; bit < 64 && used < size; ++bit) {
    if (!(features >> bit & 1)) continue;
    const char *comma = used ? ", " : "", *name = llmcFeatureName(bit);
    used += (size_t)(name ? snprintf(text + used, size - used, "%s%s", comma, name)
                          : snprintf(text + used, size - used, "%sfeature %u", comma, bit));
  }
}
