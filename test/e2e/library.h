/* library.h: a compiled model and its functions, for one file of a program. Before it: PROGRAM, the name in messages,
 * and FUNCTIONS(X), X(name) for each function of llmc.h that the program calls, as p_name. */
#ifndef LLMC_TEST_LIBRARY_H
#define LLMC_TEST_LIBRARY_H
#include "llmc.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define DECLARE(name) static __typeof__(name) *p_##name;
FUNCTIONS(DECLARE)
#undef DECLARE

static llmc_error error;

/* Ends the program if a call failed. */
static void check(int status) {
  if (!status) return;
  fprintf(stderr, "%s: %s\n", PROGRAM, error.message);
  exit(1);
}

static void loadLibrary(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
#define LOAD(name)                                                                                                     \
  if (library) *(void **)&p_##name = dlsym(library, #name);                                                            \
  if (!p_##name) fprintf(stderr, "%s: %s\n", PROGRAM, dlerror()), exit(1);
  FUNCTIONS(LOAD)
#undef LOAD
}
#endif
