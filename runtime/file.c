/* file.c: the artifact's own file: found, checked against what was loaded from it, mapped, read ahead. */
#include "internal.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

struct llmcFile {
  char *data; /* the whole file, read-only */
  uint64_t size;
  pthread_t reader; /* reads ahead */
  bool hasReader;
  int stop; /* the reader should; atomic */
};

const char *llmcFileData(const struct llmcFile *file) { return file->data; }

/* Every blob inside the file, weights aligned and of the size that the code expects. */
static int checkBlobs(const char *path, llmc_error *error) {
  const struct llmc_artifact *a = &llmc_artifact;
  const struct {
    const char *name;
    struct llmc_blob blob;
  } blobs[] = {{"metadata", a->metadata},
               {"tokenizer", a->tokenizer},
               {"chat template", a->chat_template},
               {"report", a->report},
               {"weights", a->weights}};
  for (size_t i = 0; i < sizeof blobs / sizeof *blobs; ++i) {
    uint64_t offset = blobs[i].blob.offset, size = blobs[i].blob.size;
    if (size && (offset > a->file_size || size > a->file_size - offset))
      return llmcFail(error, LLMC_ERROR_FILE,
                      "%.200s: %s: found %" PRIu64 " bytes at %" PRIu64 ", expected them inside the file of %" PRIu64
                      " bytes",
                      path, blobs[i].name, size, offset, a->file_size);
  }
  if (a->weights.size != (uint64_t)llmc_model_constants.weight_bytes)
    return llmcFail(error, LLMC_ERROR_FILE, "%.200s: weights: found %" PRIu64 " bytes, expected %" PRId64, path,
                    a->weights.size, llmc_model_constants.weight_bytes);
  if (a->weights.offset % kHugePage)
    return llmcFail(error, LLMC_ERROR_FILE, "%.200s: weights: found offset %" PRIu64 ", expected a multiple of 2 MB",
                    path, a->weights.offset);
  return LLMC_OK;
}

/* The file at `path` may have been replaced since the code was loaded from it; then its weights belong to other code.
 * The note has no relocations, so the same bytes must be in the file. `base` is where the ELF header is mapped. */
static bool sameArtifact(int fd, const char *base) {
  const Elf64_Ehdr *elf = (const Elf64_Ehdr *)base;
  const Elf64_Phdr *segments = (const Elf64_Phdr *)(base + elf->e_phoff);
  uint64_t address = (uint64_t)((const char *)&llmc_artifact - base);
  for (int i = 0; i < elf->e_phnum; ++i) {
    const Elf64_Phdr *s = &segments[i];
    if (s->p_type != PT_LOAD || address < s->p_vaddr || address - s->p_vaddr >= s->p_filesz) continue;
    struct llmc_artifact inFile;
    uint64_t offset = s->p_offset + (address - s->p_vaddr);
    return pread(fd, &inFile, sizeof inFile, (off_t)offset) == (ssize_t)sizeof inFile &&
           !memcmp(&inFile, &llmc_artifact, sizeof inFile);
  }
  return false;
}

static int checkFile(int fd, const char *path, const void *base, llmc_error *error) {
  struct stat status;
  if (fstat(fd, &status)) return llmcFail(error, LLMC_ERROR_FILE, "%.200s: fstat: error %d", path, errno);
  if (!S_ISREG(status.st_mode)) return llmcFail(error, LLMC_ERROR_FILE, "%.200s: expected a regular file", path);
  if (!sameArtifact(fd, base))
    return llmcFail(error, LLMC_ERROR_FILE,
                    "%.200s: found another artifact than the one that was loaded; the file was replaced, load it again",
                    path);
  if ((uint64_t)status.st_size != llmc_artifact.file_size)
    return llmcFail(error, LLMC_ERROR_FILE, "%.200s: found %" PRId64 " bytes, expected %" PRIu64 "%s", path,
                    (int64_t)status.st_size, llmc_artifact.file_size,
                    (uint64_t)status.st_size < llmc_artifact.file_size ? "; the file is truncated" : "");
  return checkBlobs(path, error);
}

/* Maps the file so that its offset 0, and with it the weights, is 2 MB aligned: the page cache can then be mapped by
 * huge pages. */
static char *mapAligned(int fd, uint64_t size) {
  uint64_t reserved = size + kHugePage;
  char *place = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) return NULL;
  char *start = place + (-(uintptr_t)place & (kHugePage - 1));
  char *end = start + llmcMapSize(size, false);
  char *data = mmap(start, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
  if (data == MAP_FAILED) {
    munmap(place, reserved);
    return NULL;
  }
  if (start != place) munmap(place, (size_t)(start - place));
  if (end < place + reserved) munmap(end, (size_t)(place + reserved - end));
  madvise(data, size, MADV_HUGEPAGE);
  return data;
}

/* Where threads of several NUMA nodes will read the weights, pages that are not in memory yet come from all of them in
 * turn. Where the others are was decided by whoever read the file first. */
static void interleaveReader(void) {
  struct llmcMachine machine;
  struct llmcThreadPlan plan;
  llmcReadMachine("", NULL, &machine);
  llmcPlanThreads(&machine, 0, 0, &plan);
  llmcInterleaveThread(plan.nodeMask);
}

/* Brings the weights into memory and into the page tables, so that the first step takes no faults for them. */
static void *readAhead(void *argument) {
  struct llmcFile *file = argument;
  interleaveReader();
  const struct llmc_blob *w = &llmc_artifact.weights;
  const uint64_t slice = 32 << 20; /* bytes between two looks at `stop` */
  for (uint64_t at = 0; at < w->size && !__atomic_load_n(&file->stop, __ATOMIC_RELAXED); at += slice) {
    uint64_t bytes = w->size - at < slice ? w->size - at : slice;
    if (madvise(file->data + w->offset + at, bytes, MADV_POPULATE_READ))
      madvise(file->data + w->offset + at, bytes, MADV_WILLNEED);
  }
  return NULL;
}

static void prefetch(struct llmcFile *file, uint32_t how) {
  const struct llmc_blob *w = &llmc_artifact.weights;
  if (!w->size || how == LLMC_PREFETCH_NONE) return;
  file->hasReader = !llmcStartThread(&file->reader, NULL, readAhead, file);
  if (how != LLMC_PREFETCH_MAP) return;
  if (file->hasReader)
    pthread_join(file->reader, NULL);
  else
    madvise(file->data + w->offset, w->size, MADV_POPULATE_READ);
  file->hasReader = false;
}

int llmcFileOpen(struct llmcFile **out, uint32_t how, llmc_error *error) {
  if (!llmc_artifact.file_size)
    return llmcFail(error, LLMC_ERROR_FILE, "artifact: found no weights, neither in a file nor in memory");
  Dl_info library;
  if (!dladdr(&llmc_artifact, &library) || !library.dli_fname)
    return llmcFail(error, LLMC_ERROR_FILE, "artifact: found no file that its code was loaded from");
  const char *path = library.dli_fname;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return llmcFail(error, LLMC_ERROR_FILE, "%.200s: open: error %d (%.100s)", path, errno, strerror(errno));
  int status = checkFile(fd, path, library.dli_fbase, error);
  struct llmcFile *file = status ? NULL : calloc(1, sizeof *file);
  if (file) {
    file->size = llmc_artifact.file_size;
    file->data = mapAligned(fd, file->size);
  }
  close(fd);
  if (status) return status;
  if (!file || !file->data) {
    free(file);
    return llmcFail(error, LLMC_ERROR_NO_MEMORY, "%.200s: mmap: error %d for %" PRIu64 " bytes", path, errno,
                    llmc_artifact.file_size);
  }
  prefetch(file, how);
  *out = file;
  return LLMC_OK;
}

void llmcFileClose(struct llmcFile *file) {
  if (!file) return;
  __atomic_store_n(&file->stop, 1, __ATOMIC_RELAXED);
  if (file->hasReader) pthread_join(file->reader, NULL);
  munmap(file->data, file->size);
  free(file);
}
