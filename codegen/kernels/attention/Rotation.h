// Rotary embedding of one head, on its way to a cache or to the queries of a unit.
#pragma once
#include "codegen/kernels/rowwise/Lanes.h"

namespace llmc {

class Rotation {
public:
  Rotation(Lanes &v, const AttentionDesc &d) : a(v.a), v(v), d(d) {}
  /// Channels that rotate; 0: none, and `emit` has nothing to do.
  int64_t channels() const { return d.rope == RopeStyle::None ? 0 : d.ropeDim; }
  /// to[0..headDim) := the f32 head at `from`, its first channels rotated by the cosines and sines at `rope`. Products
  /// and sums are rounded one by one, as in the reference. Clobbers eax, k1, vectors 0..5 and 15 (AVX2).
  void emit(const Xbyak::Reg64 &from, const Xbyak::Reg64 &rope, const Xbyak::RegExp &to);

private:
  void half(int64_t channel, int n);
  void pairs(int64_t pair, int count);
  void spreadPairs(int reg, int64_t offset, int count);
  Xbyak::Label &laneConstant(uint32_t (*lane)(int));
  /// body(first, lanes) over channels [begin, end), a register at a time.
  void sweep(int64_t begin, int64_t end, llvm::function_ref<void(int64_t, int)> body);

  Assembler &a;
  Lanes &v;
  const AttentionDesc &d;
  Xbyak::RegExp head, table, out; // of the head being emitted
};

} // namespace llmc
