#include "test/support/Callable.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"
#include <cstring>
#include <sys/mman.h>

namespace llmc::test {
namespace {
struct MappedCode : Callable {
  MappedCode(const std::vector<uint8_t> &bytes) : size(roundUp(bytes.size(), 4096)) {
    memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(memory, bytes.data(), bytes.size());
    mprotect(memory, size, PROT_READ | PROT_EXEC);
    function = reinterpret_cast<llmc_kernel_fn>(memory);
  }
  ~MappedCode() override { munmap(memory, size); }
  void *memory;
  size_t size;
};
} // namespace

llvm::Expected<std::unique_ptr<Callable>> makeCallable(const Code &code, const Target &target) {
  if (code.bytes.empty()) return compileMlirKernel(code.mlir, target);
  return std::make_unique<MappedCode>(code.bytes);
}

Features hostFeatures() {
  Features all;
  auto host = llvm::sys::getHostCPUFeatures();
  for (unsigned i = 0; i < unsigned(Feature::Count); ++i)
    if (host.lookup(featureName(Feature(i)))) all = all | Features{Feature(i)};
  return all;
}

} // namespace llmc::test
