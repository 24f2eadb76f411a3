/* counting.h: replaces malloc, calloc, realloc, free, mmap and munmap in the whole process, so that libc's own calls
 * count, too: `calls` goes up by one for each while `counting` is 1, whichever thread makes it. For one file of a
 * program, which defines _GNU_SOURCE. */
#ifndef LLMC_TEST_COUNTING_H
#define LLMC_TEST_COUNTING_H
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int counting, calls;
static void count(void) { calls += counting; }

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);
void *malloc(size_t size) { return count(), __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return count(), __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { return count(), __libc_realloc(p, size); }
void free(void *p) { count(), __libc_free(p); }
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
  return count(), (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}
int munmap(void *at, size_t size) { return count(), (int)syscall(SYS_munmap, at, size); }

/* Whether the functions above are the ones that libc's callers get. */
static int hooksWork(void) {
  calls = 0;
  counting = 1;
  free(strdup("libc allocates here"));
  counting = 0;
  return calls == 2;
}
#endif
