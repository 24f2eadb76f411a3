// kv_append: rope on k and a copy of v into the page of (sequence, position).
#include "codegen/kernels/attention/Emitters.h"
#include "codegen/kernels/attention/KvWriter.h"
#include "llmc_kernel.h"
#include <cstddef>

namespace llmc {
using namespace Xbyak;
namespace {

/// Registers: r14 = arguments, rbx = batch, r12 = row, r13 = kv heads left; those of KvWriter::store.
void emitRows(Assembler &a, const KvAppendDesc &d, bool avx512) {
  Lanes v(a, avx512);
  KvWriter writer(v, d);
  Label next, head, done;
  a.enter({a.rbx, a.r12, a.r13, a.r14, a.r15}, int(writer.scratchBytes()));
  a.mov(a.r14, a.rdi);
  a.mov(a.rbx, a.ptr[a.r14 + offsetof(llmc_kv_append_args, batch)]);
  a.mov(a.r12, a.ptr[a.r14 + offsetof(llmc_kv_append_args, begin)]);
  a.L(next);
  a.cmp(a.r12, a.ptr[a.r14 + offsetof(llmc_kv_append_args, end)]);
  a.jge(done, a.T_NEAR);
  a.mov(a.rcx, a.ptr[a.rbx + offsetof(llmc_batch, positions)]);
  a.movsxd(a.rcx, a.dword[a.rcx + a.r12 * 4]);
  a.mov(a.rax, a.ptr[a.rbx + offsetof(llmc_batch, sequences)]);
  a.movsxd(a.rax, a.dword[a.rax + a.r12 * 4]);
  a.mov(a.r15, a.ptr[a.r14 + offsetof(llmc_kv_append_args, layer_offset)]);
  writer.findPage(a.r15);
  a.imul(a.rsi, a.r12, int(d.qkvStride));
  a.add(a.rsi, a.ptr[a.r14 + offsetof(llmc_kv_append_args, qkv)]);
  a.add(a.rsi, int(d.heads * d.headDim * 4));
  a.lea(a.r8, a.ptr[a.rsi + int(d.kvHeads * d.headDim * 4)]);
  if (d.rope != RopeStyle::None) {
    a.imul(a.rdx, a.r12, int(d.ropeStride));
    a.add(a.rdx, a.ptr[a.r14 + offsetof(llmc_kv_append_args, rope)]);
  }
  a.mov(a.r13d, uint32_t(d.kvHeads));
  a.L(head);
  writer.store(a.rsp);
  a.add(a.rsi, int(d.headDim * 4));
  a.add(a.r8, int(d.headDim * 4));
  a.add(a.r9, int(d.layout().bytes()));
  a.dec(a.r13);
  a.jnz(head, a.T_NEAR);
  a.inc(a.r12);
  a.jmp(next, a.T_NEAR);
  a.L(done);
  a.leave();
}

} // namespace

llvm::Expected<Code> emitKvAppend(const KvAppendDesc &d, bool avx512) {
  return assemble([&](Assembler &a) { emitRows(a, d, avx512); });
}

Refusal refuseKvAppend(const KvAppendDesc &d, const Target &target) { return refuseShape(d); }

} // namespace llmc
