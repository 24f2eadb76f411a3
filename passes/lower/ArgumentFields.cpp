#include "passes/lower/ArgumentFields.h"
#include "llmc_kernel.h"
#include "llvm/ADT/StringSwitch.h"

namespace llmc {

int64_t fieldOf(kernel::Family family, llvm::StringRef role) {
  switch (family) {
  case kernel::Family::Matmul:
    return llvm::StringSwitch<int64_t>(role)
        .Case("x", offsetof(llmc_matmul_args, x))
        .Case("w", offsetof(llmc_matmul_args, w))
        .Case("bias", offsetof(llmc_matmul_args, bias))
        .Case("plan", offsetof(llmc_experts, first))
        .Default(-1);
  case kernel::Family::Rowwise:
    return llvm::StringSwitch<int64_t>(role)
        .Case("x", offsetof(llmc_rowwise_args, x))
        .Case("w", offsetof(llmc_rowwise_args, w))
        .Case("b", offsetof(llmc_rowwise_args, b))
        .Default(-1);
  case kernel::Family::KvAppend:
    return llvm::StringSwitch<int64_t>(role)
        .Case("qkv", offsetof(llmc_kv_append_args, qkv))
        .Case("rope", offsetof(llmc_kv_append_args, rope))
        .Default(-1);
  case kernel::Family::Attention:
    return llvm::StringSwitch<int64_t>(role)
        .Case("qkv", offsetof(llmc_attention_args, qkv))
        .Case("rope", offsetof(llmc_attention_args, rope))
        .Case("sinks", offsetof(llmc_attention_args, sinks))
        .Default(-1);
  }
  return -1;
}

int64_t resultField(kernel::Family family) {
  switch (family) {
  case kernel::Family::Matmul: return offsetof(llmc_matmul_args, y);
  case kernel::Family::Rowwise: return offsetof(llmc_rowwise_args, y);
  case kernel::Family::KvAppend: return -1;
  case kernel::Family::Attention: return offsetof(llmc_attention_args, y);
  }
  return -1;
}

} // namespace llmc
