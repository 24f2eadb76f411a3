// libFuzzer's mutations of bytes and of the model that they are, in turns.
#include "fuzz/MutateOnnx.h"
#include <cstring>

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, most);
  std::string changed = llmc::test::mutateOnnx(std::string(reinterpret_cast<const char *>(data), size), seed / 4);
  if (changed.size() > most) return LLVMFuzzerMutate(data, size, most);
  memcpy(data, changed.data(), changed.size());
  return changed.size();
}
