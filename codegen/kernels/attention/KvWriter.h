// Writes the key and value of one position and kv head into a page of the cache (KvLayout), for kv_append and for
// attention that appends its own row.
#pragma once
#include "codegen/kernels/attention/Rotation.h"

namespace llmc {

class KvWriter {
public:
  KvWriter(Lanes &v, const AttentionDesc &d)
      : a(v.a), v(v), d(d), layout(d.layout()), together(int(layout.together())), element(int(layout.elementBytes())),
        rotation(v, d) {}
  /// Bytes of stack that `store` is given.
  int64_t scratchBytes() const { return 2 * roundUp(d.headDim * 4, kAlign); }
  /// rsi = k, r8 = v (f32 heads), rdx = the row's cosines and sines, r9 = the kv head's part of the page, r10 =
  /// position in the page. Other positions' bytes are not touched: rows of a step may be appended by several threads.
  /// Clobbers rax, rcx, rdi, r11, k1, k2, vectors 0..7 and 15 (AVX2).
  void store(const Xbyak::RegExp &scratch);
  /// r9 := this layer's part of the page of position rcx, which is kept, in the sequence rax; r10 := position in the
  /// page. rbx = batch. Clobbers rax, r11.
  void findPage(const Xbyak::Reg64 &layerOffset);

private:
  void convert(const Xbyak::RegExp &from, const Xbyak::RegExp &to, int64_t scaleOffset);
  void toBf16(int n, const Xbyak::RegExp &to);
  void toCodes(const Xbyak::RegExp &from, const Xbyak::RegExp &to, int64_t scaleOffset);
  void factorOfLargest(int64_t scaleOffset);
  void storeKey(const Xbyak::RegExp &from);
  void storeValue(const Xbyak::RegExp &from);
  void storeValueBlock(int64_t first, int64_t width, const Xbyak::RegExp &from);
  void sweep(llvm::function_ref<void(int64_t, int)> body);
  /// Moves `count` pieces of `bytes` that lie side by side at r11 to rcx, rcx + stride, ...
  void scatter(int64_t count, int bytes, int64_t stride);
  void movePiece(int bytes, int64_t from, int64_t to);

  Assembler &a;
  Lanes &v;
  const AttentionDesc &d;
  const KvLayout layout;
  const int together, element;
  Rotation rotation;
};

} // namespace llmc
