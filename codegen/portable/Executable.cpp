#include "codegen/portable/Executable.h"
#include "codegen/portable/Compile.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include <sys/mman.h>

namespace llmc {
namespace {

struct MappedCode : Executable {
  explicit MappedCode(llvm::ArrayRef<uint8_t> bytes) : size(size_t(roundUp(int64_t(bytes.size()), 4096))) {
    memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    memcpy(memory, bytes.data(), bytes.size());
    if (!mprotect(memory, size, PROT_READ | PROT_EXEC)) function = reinterpret_cast<llmc_kernel_fn>(memory);
  }
  ~MappedCode() override {
    if (memory != MAP_FAILED) munmap(memory, size);
  }
  void *memory;
  const size_t size;
};

struct JitCode : Executable {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

llvm::Expected<std::unique_ptr<Executable>> loadObject(llvm::ArrayRef<char> object) {
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) return jit.takeError();
  auto process =
      llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess((*jit)->getDataLayout().getGlobalPrefix());
  if (!process) return process.takeError();
  (*jit)->getMainJITDylib().addGenerator(std::move(*process)); // libm
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy({object.data(), object.size()});
  if (llvm::Error error = (*jit)->addObjectFile(std::move(buffer))) return std::move(error);
  auto address = (*jit)->lookup("kernel");
  if (!address) return address.takeError();
  auto made = std::make_unique<JitCode>();
  made->function = address->toPtr<llmc_kernel_fn>();
  made->jit = std::move(*jit);
  return std::unique_ptr<Executable>(std::move(made));
}

} // namespace

llvm::Expected<std::unique_ptr<Executable>> Executable::create(const Code &code, const Target &target) {
  if (code.bytes.empty()) {
    auto object = compileKernel(code.mlir, target);
    if (!object) return object.takeError();
    return loadObject(*object);
  }
  auto mapped = std::make_unique<MappedCode>(code.bytes);
  if (!mapped->function) return llvm::createStringError("found no executable memory for a kernel");
  return std::unique_ptr<Executable>(std::move(mapped));
}

} // namespace llmc
