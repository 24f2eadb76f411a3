#include "codegen/x64/Assembler.h"
#include <cstring>

namespace llmc {
using namespace Xbyak;

void Assembler::enter(llvm::ArrayRef<Reg64> calleeSaved, int stackBytes) {
  saved.assign(calleeSaved.begin(), calleeSaved.end());
  framed = stackBytes > 0;
  if (framed) {
    push(rbp);
    mov(rbp, rsp);
  }
  for (const Reg64 &r : saved) push(r);
  if (framed) {
    sub(rsp, int(roundUp(stackBytes, 64)));
    and_(rsp, -64);
  }
}

void Assembler::leave() {
  vzeroupper();
  if (framed) lea(rsp, ptr[rbp - 8 * int(saved.size())]);
  for (size_t i = saved.size(); i-- > 0;) pop(saved[i]);
  if (framed) pop(rbp);
  ret();
}

Label &Assembler::constantBytes(llvm::ArrayRef<uint8_t> bytes) {
  auto &slot = pool[std::string(bytes.begin(), bytes.end())];
  if (!slot) slot = std::make_unique<Label>();
  return *slot;
}

Label &Assembler::constant32(uint32_t bits) {
  uint8_t raw[4];
  memcpy(raw, &bits, 4);
  return constantBytes(raw);
}

Label &Assembler::constantF32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return constant32(bits);
}

void Assembler::loop(const Reg64 &counter, int64_t limit, int64_t step, llvm::function_ref<void()> body) {
  if (limit <= 0) return;
  if (limit <= step) {
    xor_(counter.cvt32(), counter.cvt32());
    body();
    return;
  }
  Label top;
  xor_(counter.cvt32(), counter.cvt32());
  L(top);
  body();
  add(counter, uint32_t(step));
  cmp(counter, uint32_t(limit));
  jl(top, T_NEAR);
}

void Assembler::loop(const Reg64 &counter, const Reg64 &limit, int64_t step, llvm::function_ref<void()> body) {
  Label top, done;
  xor_(counter.cvt32(), counter.cvt32());
  test(limit, limit);
  jle(done, T_NEAR);
  L(top);
  body();
  add(counter, uint32_t(step));
  cmp(counter, limit);
  jl(top, T_NEAR);
  L(done);
}

llvm::Expected<Code> assemble(llvm::function_ref<void(Assembler &)> body) {
  ClearError();
  Assembler a;
  body(a);
  a.align(64);
  Code code;
  code.codeBytes = a.getSize();
  for (auto &[bytes, label] : a.pool) {
    a.align(bytes.size() >= 32 ? 64 : 4);
    a.L(*label);
    for (char b : bytes) a.db(uint8_t(b));
  }
  a.ready();
  if (int error = GetError()) return llvm::createStringError(std::string("xbyak: ") + ConvertErrorToString(error));
  code.bytes.assign(a.getCode(), a.getCode() + a.getSize());
  return code;
}

} // namespace llmc
