// The two products of attention as one register-blocked loop: scores[pair][position] = queries[pair][channel] *
// K[channel][position], sums[pair][channel] += weights[pair][position] * V[position][channel]. Both right sides have 64
// lanes a row, and units of `together` channels or positions. Each result is one chain over ascending units, so its
// bits do not depend on what is computed beside it.
#include "codegen/kernels/attention/AttentionEmitter.h"

namespace llmc {
using namespace Xbyak;

/// Pairs of a block: 6 x 4 registers of 32, 6 x 2 of 16.
static constexpr int kMostTogether = 6;
/// A register of AVX-512 that no panel uses: the mask of upper bf16.
static constexpr int kUpperHalves = 31;

int AttentionEmitter::linesTogether(int pairs) const {
  if (v.avx512) return 4;
  return pairs == 1 ? 8 : pairs == 2 || (pairs == 3 && math != Math::Words) ? 4 : 2;
}

/// rdi = queries and rsi = scores of the first of rcx pairs, rdx = the kv head's part of the page, r9 = positions that
/// are wanted, r13 = from there to what is fetched meanwhile. Keeps rdx, r9, r12, r13, rbx.
void AttentionEmitter::keyPanels() {
  const int lines = 64 / v.count;
  a.L(keyCode);
  startPanels();
  auto block = [&](int pairs) {
    Label done;
    Panel p = {true, pairs, 0, linesTogether(pairs), 64, 64 * layout.together() * layout.elementBytes()};
    if (v.avx512) { // half the work where at most half of the positions count
      Label half;
      a.cmp(a.r9, 32);
      a.jle(half, a.T_NEAR);
      panel(p);
      a.jmp(done, a.T_NEAR);
      a.L(half);
      p.lines = 2;
      panel(p);
    } else {
      for (; p.firstLine < lines; p.firstLine += p.lines) {
        if (p.firstLine) {
          a.cmp(a.r9, p.firstLine * v.count);
          a.jle(done, a.T_NEAR);
        }
        panel(p);
      }
    }
    a.L(done);
  };
  pairBlocks(block, queryStride(), kEntry);
}

/// rdi = states and rsi = sums (of the block's first channel) of the first of rcx pairs, r8 = first unit, rdx = its row
/// of the block of `width` channels, r9 = units, r13 = from there to what is fetched meanwhile. Keeps rdx, r8, r9, rbx,
/// r12, r13, rdi, rsi, rcx.
void AttentionEmitter::valuePanels(int width) {
  const int lines = (width + v.count - 1) / v.count;
  a.L(width == 64 ? fullCode : tailCode);
  startPanels();
  auto block = [&](int pairs) {
    Panel p = {false, pairs, 0, 0, width, width * layout.together() * layout.elementBytes()};
    for (; p.firstLine < lines; p.firstLine += p.lines) {
      p.lines = std::min(linesTogether(pairs), lines - p.firstLine);
      panel(p);
    }
  };
  pairBlocks(block, kEntry, sumStride());
}

void AttentionEmitter::startPanels() {
  if (v.avx512 && math == Math::Float && layout.type == KvType::BF16)
    a.vpbroadcastd(v.reg(kUpperHalves), a.ptr[a.rip + a.constant32(0xffff0000)]);
}

/// body for blocks of rcx pairs, rdi and rsi advancing; ret. 7 and 8 are better halved than 6 and a rest.
void AttentionEmitter::pairBlocks(llvm::function_ref<void(int)> body, int64_t aStride, int64_t cStride) {
  Label next, done, blocks[kMostTogether + 1];
  const int most = int(std::min<int64_t>(kMostTogether, maxPairs()));
  a.push(a.rdi);
  a.push(a.rsi);
  a.push(a.rcx);
  a.L(next);
  if (maxPairs() > kMostTogether) {
    a.cmp(a.rcx, 9);
    a.jge(blocks[6], a.T_NEAR);
    a.cmp(a.rcx, 7);
    a.jge(blocks[4], a.T_NEAR);
  }
  for (int pairs = most; pairs > 1; --pairs) {
    a.cmp(a.rcx, pairs);
    a.je(blocks[pairs], a.T_NEAR);
  }
  for (int pairs = 1; pairs <= most; ++pairs) {
    a.L(blocks[pairs]);
    body(pairs);
    if (most > 1) {
      a.add(a.rdi, int(pairs * aStride));
      a.add(a.rsi, int(pairs * cStride));
      a.sub(a.rcx, pairs);
      a.jnz(next, a.T_NEAR);
      a.jmp(done, a.T_NEAR);
    }
  }
  a.L(done);
  a.pop(a.rcx);
  a.pop(a.rsi);
  a.pop(a.rdi);
  a.ret();
}

/// Registers: pairs * lines sums; then either the unit's lines of B and an element of A, or its elements and a line,
/// whichever are fewer; then one for products. rax, r10 = A and B of the unit, r11 = units left.
void AttentionEmitter::panel(const Panel &p) {
  const int64_t keyUnits = d.headDim / layout.together();
  const int unroll = p.keys && keyUnits % 4 ? 2 : 4;
  const int aStep = unroll * aUnitBytes(), bStep = int(unroll * p.rowBytes);
  Label many, rest, one, done;
  startSums(p);
  a.mov(a.r10, a.rdx);
  if (p.keys) {
    a.mov(a.rax, a.rdi);
    a.mov(a.r11d, uint32_t(keyUnits));
  } else {
    a.imul(a.rax, a.r8, aUnitBytes());
    a.add(a.rax, a.rdi);
    a.mov(a.r11, a.r9);
    a.sub(a.r11, unroll);
    a.jl(rest, a.T_NEAR);
  }
  a.L(many);
  for (int unit = 0; unit < unroll; ++unit) panelUnit(p, unit);
  a.add(a.rax, aStep);
  a.add(a.r10, bStep);
  a.sub(a.r11, unroll);
  if (p.keys) {
    a.jnz(many, a.T_NEAR);
    return finishScores(p);
  }
  a.jge(many, a.T_NEAR);
  a.L(rest);
  a.add(a.r11, unroll);
  a.jz(done, a.T_NEAR);
  a.L(one);
  panelUnit(p, 0);
  a.add(a.rax, aUnitBytes());
  a.add(a.r10, int(p.rowBytes));
  a.dec(a.r11);
  a.jnz(one, a.T_NEAR);
  a.L(done);
  finishSums(p);
}

void AttentionEmitter::startSums(const Panel &p) {
  for (int pair = 0; pair < p.pairs; ++pair)
    for (int line = 0; line < p.lines; ++line) {
      const int sum = pair * p.lines + line;
      if (p.keys || math == Math::Words)
        v.zero(sum);
      else
        v.load(sum, a.rsi + int(pair * sumStride()) + 4 * (p.firstLine + line) * v.count, lanesOf(p, line));
    }
}

void AttentionEmitter::panelUnit(const Panel &p, int unit) {
  const int aOffset = unit * aUnitBytes(), free = p.pairs * p.lines;
  const int64_t bOffset = unit * p.rowBytes;
  if (p.firstLine == 0 && !converts())
    for (int64_t i = 0; i < p.rowBytes; i += kAlign) a.prefetcht0(a.ptr[a.r10 + a.r13 + int(bOffset + i)]);
  const int steps = math == Math::Words || (math == Math::Float && layout.type == KvType::BF16) ? 2 : 1;
  for (int step = 0; step < steps; ++step) {
    const int aStep = aOffset + 4 * step;
    if (p.pairs < p.lines) {
      for (int pair = 0; pair < p.pairs; ++pair) loadElement(p, pair, aStep, free + pair);
      for (int line = 0; line < p.lines; ++line) {
        loadLine(p, line, step, bOffset, free + p.pairs);
        for (int pair = 0; pair < p.pairs; ++pair)
          addProduct(pair * p.lines + line, free + p.pairs, free + pair, free + p.pairs + 1);
      }
    } else {
      for (int line = 0; line < p.lines; ++line) loadLine(p, line, step, bOffset, free + line);
      for (int pair = 0; pair < p.pairs; ++pair) {
        loadElement(p, pair, aStep, free + p.lines);
        for (int line = 0; line < p.lines; ++line)
          addProduct(pair * p.lines + line, free + line, free + p.lines, free + p.lines + 1);
      }
    }
  }
}

void AttentionEmitter::loadElement(const Panel &p, int pair, int64_t offset, int to) {
  const Address from = a.ptr[a.rax + int(pair * (p.keys ? queryStride() : kEntry) + offset)];
  math == Math::Float ? a.vbroadcastss(v.reg(to), from) : a.vpbroadcastd(v.reg(to), from);
}

/// A line of B. Float: as f32, of bf16 pairs the lower (step 0) or upper ones. Words: bytes 0 and 2 (step 0) or 1 and 3
/// of each dword. Bf16: as it is.
void AttentionEmitter::loadLine(const Panel &p, int line, int step, int64_t offset, int to) {
  const int lanes = lanesOf(p, line);
  const RegExp from = a.r10 + int(offset) + (p.firstLine + line) * bLineBytes();
  const Xmm reg = lanes == v.count ? v.reg(to) : Xmm(Operand::YMM, to); // 8 lanes of 16: what is above becomes 0
  if (layout.type == KvType::F16) return v.loadHalf(to, from, lanes);
  if (layout.type == KvType::F32 || math == Math::Bf16) return v.load(to, from, lanes);
  const bool words = math == Math::Words;
  if (!v.avx512) a.vmovups(reg, a.ptr[from]);
  const Operand &source = v.avx512 ? static_cast<const Operand &>(a.ptr[from]) : static_cast<const Operand &>(reg);
  if (words && step == 0) {
    a.vpsllw(reg, source, 8);
    a.vpsraw(reg, reg, 8);
  } else if (words) {
    a.vpsraw(reg, source, 8);
  } else if (step == 0) {
    a.vpslld(reg, source, 16);
  } else if (v.avx512) {
    a.vpandd(reg, lanes == v.count ? v.reg(kUpperHalves) : Xmm(Operand::YMM, kUpperHalves), source);
  } else {
    a.vandps(reg, reg, v.constantBits(0xffff0000));
  }
}

/// sum += b * x, lane by lane; `product` is free.
void AttentionEmitter::addProduct(int sum, int b, int x, int product) {
  switch (math) {
  case Math::Float: return a.vfmadd231ps(v.reg(sum), v.reg(x), v.reg(b));
  case Math::Bf16: return a.vdpbf16ps(v.reg(sum), v.reg(b), v.reg(x));
  case Math::Words: break;
  }
  if (isa.vnni) return a.vpdpwssd(v.reg(sum), v.reg(b), v.reg(x));
  a.vpmaddwd(v.reg(product), v.reg(b), v.reg(x));
  a.vpaddd(v.reg(sum), v.reg(sum), v.reg(product));
}

/// Integer sums: times the factors of the query and of each key.
void AttentionEmitter::finishScores(const Panel &p) {
  const int scales = p.pairs * p.lines, factor = scales + 1;
  for (int line = 0; line < p.lines; ++line) {
    const int at = 4 * (p.firstLine + line) * v.count;
    if (math == Math::Words) v.load(scales, a.rdx + int(layout.keyScaleOffset(0)) + at, v.count);
    for (int pair = 0; pair < p.pairs; ++pair) {
      const Xmm sum = v.reg(pair * p.lines + line);
      if (math == Math::Words) {
        a.vbroadcastss(v.reg(factor), a.ptr[a.rsi + pair * kEntry + kQueryScale]);
        a.vcvtdq2ps(sum, sum);
        a.vmulps(sum, sum, v.reg(scales));
        a.vmulps(sum, sum, v.reg(factor));
      }
      v.store(a.rsi + pair * kEntry + kScores + at, pair * p.lines + line, v.count);
    }
  }
}

/// Integer sums: times the factor of the page's weights, added to the chunk's.
void AttentionEmitter::finishSums(const Panel &p) {
  const int factor = p.pairs * p.lines, old = factor + 1;
  for (int pair = 0; pair < p.pairs; ++pair) {
    if (math == Math::Words) a.vbroadcastss(v.reg(factor), a.ptr[a.rdi + pair * kEntry + kWeightScale]);
    for (int line = 0; line < p.lines; ++line) {
      const int lanes = lanesOf(p, line), sum = pair * p.lines + line;
      const RegExp at = a.rsi + int(pair * sumStride()) + 4 * (p.firstLine + line) * v.count;
      if (math == Math::Words) {
        v.load(old, at, lanes);
        a.vcvtdq2ps(v.reg(sum), v.reg(sum));
        a.vfmadd213ps(v.reg(sum), v.reg(factor), v.reg(old));
      }
      v.store(at, sum, lanes);
    }
  }
}

} // namespace llmc
