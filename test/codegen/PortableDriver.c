/* Runs one portable kernel on a memory image, on whatever CPU this is compiled for. Usage: driver IN OUT.
 * IN is native-endian int64: bytes of the image, number of pointers, offset of the arguments; then the pointers as
 * pairs (offset of the pointer, offset of what it points to), then the image. OUT is the image after the call. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void kernel(const void *args);

static int fail(const char *what) {
  fprintf(stderr, "driver: %s\n", what);
  return 1;
}

int main(int argc, char **argv) {
  FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL;
  int64_t header[3], pointer[2];
  if (!in || fread(header, 8, 3, in) != 3) return fail("found no header, expected IN and OUT");
  int64_t *pointers = malloc((size_t)header[1] * 16 + 16);
  char *image = aligned_alloc(64, (size_t)header[0]);
  if (fread(pointers, 16, (size_t)header[1], in) != (size_t)header[1]) return fail("the pointers are truncated");
  if (fread(image, 1, (size_t)header[0], in) != (size_t)header[0]) return fail("the image is truncated");
  for (int64_t i = 0; i < header[1]; ++i) {
    pointer[0] = pointers[2 * i], pointer[1] = pointers[2 * i + 1];
    *(char **)(image + pointer[0]) = image + pointer[1];
  }
  kernel(image + header[2]);
  FILE *out = fopen(argv[2], "wb");
  if (!out || fwrite(image, 1, (size_t)header[0], out) != (size_t)header[0] || fclose(out))
    return fail("cannot write OUT");
  return 0;
}
