#include "runtime/RuntimeObjects.h"

extern "C" const char llmcRuntimeX86_64[], llmcRuntimeX86_64End[], llmcRuntimeAArch64[], llmcRuntimeAArch64End[];

std::string_view llmc::runtimeObject(std::string_view arch) {
  if (arch == "x86_64") return {llmcRuntimeX86_64, size_t(llmcRuntimeX86_64End - llmcRuntimeX86_64)};
  if (arch == "aarch64") return {llmcRuntimeAArch64, size_t(llmcRuntimeAArch64End - llmcRuntimeAArch64)};
  return {};
}
