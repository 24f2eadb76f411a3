// A chunk of a panel widened to requantised codes: 512 k that share a scale of each column. AVX-512.
#include "codegen/kernels/matmul/Q8Wide.h"
#include "codegen/kernels/matmul/RequantisedLines.h"

namespace llmc::matmul {
using namespace Xbyak;

namespace {
const Gpr g;
constexpr int kLines = 4;

/// Loops: unit > group, or group > unit, whichever is larger; then steps of codes, lines.
class Emitter {
public:
  Emitter(Assembler &a, const MatmulDesc &desc, const Q8Chunks &chunks)
      : a(a), f(desc.w), chunks(chunks), wide(desc, {{true}, true}), lines(a, desc.w) {}

  void emit(int64_t units, int64_t restK) {
    int64_t whole = restK == chunks.unit ? units : units - 1;
    broadcast(a, offset128, 0x80808080);
    lines.constants();
    ranges(units, (whole * chunks.unit + (whole < units ? restK : 0)) / f.group);
    if (f.group > chunks.unit) { // whole groups, so whole units
      repeat(a, g.outer, whole * chunks.unit / f.group, [&] {
        enterGroup();
        repeat(a, g.inner, f.group / chunks.unit, [&] {
          startUnit();
          steps(chunks.unit);
          finishUnit();
        });
        leaveGroup();
      });
      return;
    }
    repeat(a, g.outer, whole, [&] { unit(chunks.unit); });
    if (whole < units) unit(restK);
  }

private:
  /// Scales of the columns to all records.
  void ranges(int64_t units, int64_t groups) {
    a.lea(g.scales, a.ptr[g.w + uint32_t(f.codeBytes())]);
    a.mov(g.outer, uint32_t(groups));
    lines.ranges(g.scales, g.outer, [&](int l, const Zmm &scale) {
      for (int64_t u = 0; u < units; ++u) a.vmovaps(a.ptr[g.xk + (u * wide.bytes + wide.scales + l * 64)], scale);
    });
  }

  void unit(int64_t k) {
    startUnit();
    repeat(a, g.inner, k / f.group, [&] {
      enterGroup();
      steps(f.group);
      leaveGroup();
    });
    clear(a, a.zmm0);
    for (int64_t row = 0; row < (chunks.unit - k) / 4; ++row)
      for (int l = 0; l < kLines; ++l) a.vmovdqa32(a.ptr[g.xk + (wide.codes + row * kRow + l * 64)], a.zmm0);
    a.add(g.xk, uint32_t((chunks.unit - k) / 4 * kRow));
    finishUnit();
  }

  void enterGroup() {
    a.lea(g.scales, a.ptr[g.w + uint32_t(f.codeBytes())]);
    lines.enterGroup(g.scales);
  }
  void leaveGroup() { a.add(g.w, uint32_t(f.scaleBytes() + f.offsetBytes())); }

  void startUnit() {
    for (int l = 0; l < kLines; ++l) clear(a, start(l));
  }

  /// g.xk is behind the codes: -128 times the sum of the weights, as x is 128 too large.
  void finishUnit() {
    a.sub(g.xk, uint32_t(chunks.unit / 4 * kRow));
    clear(a, a.zmm0);
    for (int l = 0; l < kLines; ++l) {
      a.vpsubd(start(l), a.zmm0, start(l));
      a.vmovdqa32(a.ptr[g.xk + (wide.start + l * 64)], start(l));
    }
    a.add(g.xk, uint32_t(wide.bytes));
  }

  /// `k` codes of one group; moves g.w and g.xk.
  void steps(int64_t k) {
    const int64_t stepK = f.kind == WeightKind::I4 ? 8 : 4, written = stepK / 4 * kRow;
    repeat(a, g.block, k / stepK, [&] {
      for (int l = 0; l < kLines; ++l)
        lines.line(l, a.ptr[g.w + l * 64], [&](int row, const Zmm &codes) {
          a.vmovdqa32(a.ptr[g.xk + (wide.codes + row * kRow + l * 64)], codes);
          a.vpdpbusd(start(l), offset128, codes, EvexEncoding);
        });
      a.add(g.w, kLines * 64);
      a.add(g.xk, uint32_t(written));
    });
  }

  static constexpr int64_t kRow = kPanel * 4; // bytes of 4 codes of all columns
  Assembler &a;
  const WeightFormat &f;
  const Q8Chunks &chunks;
  const Wide wide;
  RequantisedLines lines;
  static Zmm start(int line) { return Zmm(6 + line); }
  const Zmm offset128{10};
};
} // namespace

void emitWidenRequantised(Assembler &a, const MatmulDesc &desc, const Q8Chunks &chunks, int64_t units, int64_t restK) {
  Emitter(a, desc, chunks).emit(units, restK);
}

} // namespace llmc::matmul
