// A kernel is a row of its family's table: what it needs, what it refuses and why, what it costs, how it is emitted.
#pragma once
#include "codegen/Descriptor.h"
#include "codegen/Target.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>
#include <vector>

namespace llmc {

/// Why a kernel does not take a descriptor; nothing means it does.
using Refusal = std::optional<std::string>;

/// What an emitter makes: machine code of one function `void f(const void *args)` (System V ABI, position independent,
/// no relocation; constants behind the code, `codeBytes` is where they start), or the text of an MLIR module with one
/// llvm.func/func.func of name @kernel taking one !llvm.ptr (portable family). Exactly one of the two is not empty.
struct Code {
  std::vector<uint8_t> bytes;
  size_t codeBytes = 0; // instructions are bytes[0, codeBytes); the rest is constants
  std::string mlir;
};

template <typename Desc> struct Kernel {
  const char *name; // family_types_shape_isa: "matmul_w4a8_m1_avx512vnni"
  Arch arch = Arch::X86_64;
  bool anyArch = false; // portable kernels
  Features needs;
  Refusal (*refuse)(const Desc &, const Target &);
  double (*cost)(const Desc &, const Target &); // seconds for one call at typical rows, one core; lower is better
  llvm::Expected<Code> (*emit)(const Desc &, const Target &);
};

/// The rows of a family, all ISAs. Specialised beside each family's Table.cpp.
template <typename Desc> llvm::ArrayRef<Kernel<Desc>> kernelTable();
template <> llvm::ArrayRef<Kernel<MatmulDesc>> kernelTable<MatmulDesc>();
template <> llvm::ArrayRef<Kernel<RowwiseDesc>> kernelTable<RowwiseDesc>();
template <> llvm::ArrayRef<Kernel<AttentionDesc>> kernelTable<AttentionDesc>();
template <> llvm::ArrayRef<Kernel<KvAppendDesc>> kernelTable<KvAppendDesc>();

/// One row's answer: nothing if it accepts.
template <typename Desc> Refusal refusal(const Kernel<Desc> &kernel, const Desc &desc, const Target &target) {
  if (!kernel.anyArch && kernel.arch != target.arch) return std::string("another architecture");
  if (Features missing = kernel.needs - target.features; !missing.empty())
    return target.name + " lacks " + toString(missing);
  return kernel.refuse ? kernel.refuse(desc, target) : std::nullopt;
}

struct RefusedKernel {
  const char *name;
  std::string reason;
};

/// The cheapest row that accepts (order breaks ties), or null; `refused` collects the others' reasons.
template <typename Desc>
const Kernel<Desc> *select(const Desc &desc, const Target &target, std::vector<RefusedKernel> *refused = nullptr) {
  const Kernel<Desc> *best = nullptr;
  double bestCost = 0;
  for (const Kernel<Desc> &kernel : kernelTable<Desc>()) {
    if (Refusal reason = refusal(kernel, desc, target)) {
      if (refused) refused->push_back({kernel.name, *reason});
      continue;
    }
    double cost = kernel.cost(desc, target);
    if (!best || cost < bestCost) best = &kernel, bestCost = cost;
  }
  return best;
}

} // namespace llmc
