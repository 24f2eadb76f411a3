#include "compiler/Jit.h"
#include "codegen/portable/LlvmTarget.h"
#include "compiler/NativeTarget.h"
#include "passes/support/Schemes.h"
#include "runtime/RuntimeObjects.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include <sys/mman.h>

namespace llmc {
namespace {

/// Anonymous memory, 2 MB aligned, zero-filled, with huge pages where the system gives them.
class Memory {
public:
  explicit Memory(size_t size) : size(size) {
    mapped = size + kWeightsAlign;
    base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return;
    start = reinterpret_cast<uint8_t *>(llvm::alignTo(reinterpret_cast<uintptr_t>(base), kWeightsAlign));
    madvise(start, size, MADV_HUGEPAGE);
  }
  ~Memory() {
    if (start) munmap(base, mapped);
  }
  Memory(const Memory &) = delete;
  uint8_t *data() const { return start; }
  const size_t size;

private:
  void *base = nullptr;
  size_t mapped = 0;
  uint8_t *start = nullptr;
};

class OrcModel : public JitModel {
public:
  OrcModel(std::unique_ptr<llvm::orc::LLJIT> jit, std::unique_ptr<Memory> memory)
      : memory(std::move(memory)), jit(std::move(jit)) {}
  void *lookup(llvm::StringRef name) override {
    llvm::Expected<llvm::orc::ExecutorAddr> address = jit->lookup(name);
    if (address) return address->toPtr<void *>();
    llvm::consumeError(address.takeError());
    return nullptr;
  }
  const void *weights() const override { return memory->data(); }
  uint64_t weightBytes() const override { return memory->size; }

private:
  std::unique_ptr<Memory> memory;
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

} // namespace

llvm::Expected<std::unique_ptr<JitModel>> JitModel::create(Compilation &c, const Progress &progress) {
  const Target &least = c.variants.back().target;
  if (Features missing = missingOnHost(least); !missing.empty())
    return llvm::createStringError(least.name + ": this CPU lacks " + toString(missing) +
                                   "; choose another --target to run here (llmc targets)");
  progress.stage("emitting");
  llvm::Expected<llvm::SmallVector<char, 0>> object = compileObject(c);
  if (!object) return object.takeError();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) return jit.takeError();
  auto process =
      llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess((*jit)->getDataLayout().getGlobalPrefix());
  if (!process) return process.takeError();
  (*jit)->getMainJITDylib().addGenerator(std::move(*process));
  std::string_view runtime = runtimeObject(least.arch == Arch::X86_64 ? "x86_64" : "aarch64");
  for (llvm::StringRef bytes : {llvm::StringRef(object->data(), object->size()), llvm::StringRef(runtime)})
    if (llvm::Error error = (*jit)->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(bytes))) return std::move(error);

  auto bytes = (*c.model.module)->getAttrOfType<mlir::IntegerAttr>(kWeightBytes);
  auto memory = std::make_unique<Memory>(bytes ? bytes.getInt() : 0);
  if (!memory->data())
    return llvm::createStringError("no memory for " + std::to_string(memory->size) + " bytes of weights");
  progress.stage("packing weights");
  MemorySink sink({memory->data(), memory->size});
  if (llvm::Error error = packWeights(c, sink, progress)) return std::move(error);
  return std::unique_ptr<JitModel>(new OrcModel(std::move(*jit), std::move(memory)));
}

} // namespace llmc
