// Tile products against scalar loops, bit by bit: the order of additions is the manual's.
#include "codegen/kernels/attention/Half.h"
#include "codegen/kernels/matmul/Pack.h"
#include "codegen/kernels/matmul/Rows16.h"
#include "test/support/isa/Program.h"
#include <bit>
#include <cmath>
#include <thread>

namespace llmc::test::isa {
namespace {

enum class Kind { UU, US, SU, SS, Bf16, Fp16 };
constexpr const char *kNames[] = {"tdpbuud", "tdpbusd", "tdpbsud", "tdpbssd", "tdpbf16ps", "tdpfp16ps"};
constexpr int kSize = 32; // rows and columns of the product

struct Arguments {
  const void *a, *b;
  void *c;
  const uint8_t *configuration;
};

struct Configuration {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t columnBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// c[32][32] = a[32][k] b, b in tile order: [k/4][32][4] bytes, [k/2][32][2] halves.
Program gemm(int rowBytes, Kind kind) {
  return Program([&](Assembler &g) {
    using Xbyak::Tmm;
    g.mov(g.rsi, g.ptr[g.rdi + offsetof(Arguments, b)]);
    g.mov(g.rdx, g.ptr[g.rdi + offsetof(Arguments, c)]);
    g.mov(g.rcx, g.ptr[g.rdi + offsetof(Arguments, configuration)]);
    g.mov(g.rdi, g.ptr[g.rdi]);
    g.ldtilecfg(g.ptr[g.rcx]);
    g.mov(g.r8d, rowBytes);
    g.mov(g.r9d, kSize * 4);
    g.lea(g.r10, g.ptr[g.rdi + 16 * rowBytes]);
    for (int t = 0; t < 4; ++t) g.tilezero(Tmm(t));
    g.loop(g.r11, rowBytes, 64, [&] {
      g.tileloadd(Tmm(4), g.ptr[g.rdi + g.r8]);
      g.tileloadd(Tmm(5), g.ptr[g.r10 + g.r8]);
      g.tileloaddt1(Tmm(6), g.ptr[g.rsi + g.r9]);
      g.tileloadd(Tmm(7), g.ptr[g.rsi + g.r9 + 64]);
      for (int i = 0; i < 4; ++i) {
        Tmm d(i), x(4 + i / 2), y(6 + i % 2);
        switch (kind) {
        case Kind::UU: g.tdpbuud(d, x, y); break;
        case Kind::US: g.tdpbusd(d, x, y); break;
        case Kind::SU: g.tdpbsud(d, x, y); break;
        case Kind::SS: g.tdpbssd(d, x, y); break;
        case Kind::Bf16: g.tdpbf16ps(d, x, y); break;
        case Kind::Fp16: g.tdpfp16ps(d, x, y); break;
        }
      }
      g.add(g.rdi, 64);
      g.add(g.r10, 64);
      g.add(g.rsi, 16 * kSize * 4);
    });
    for (int i = 0; i < 4; ++i) g.tilestored(g.ptr[g.rdx + g.r9 + (i / 2 * 16 * kSize * 4 + i % 2 * 64)], Tmm(i));
    g.tilerelease();
  });
}

uint32_t byteProduct(const uint8_t *a, const uint8_t *b, int k, Kind kind, int column) {
  uint32_t sum = 0;
  for (int i = 0; i < k; ++i) {
    uint8_t x = a[i], y = b[i / 4 * kSize * 4 + column * 4 + i % 4];
    bool signedX = kind == Kind::SU || kind == Kind::SS, signedY = kind == Kind::US || kind == Kind::SS;
    sum += uint32_t((signedX ? int8_t(x) : x) * (signedY ? int8_t(y) : y));
  }
  return sum;
}

/// Denormals of f32 are zeros, before and after an operation.
float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

/// Per tile of 32 k two chains of fused multiply-adds, then the sum of both.
float pairProduct(const uint16_t *a, const uint16_t *b, int k, Kind kind, int column) {
  auto value = [&](uint16_t bits) { return flushed(kind == Kind::Bf16 ? bf16ToF32(bits) : f16ToF32(bits)); };
  float sum = 0;
  for (int tile = 0; tile < k; tile += 32) {
    float chains[2] = {0, 0};
    for (int i = tile; i < tile + 32; ++i) {
      uint16_t y = b[i / 2 * kSize * 2 + column * 2 + i % 2];
      chains[i % 2] = flushed(std::fma(value(a[i]), value(y), chains[i % 2]));
    }
    sum = flushed(sum + flushed(chains[0] + chains[1]));
  }
  return sum;
}

class Gemm : public testing::TestWithParam<int> {};

TEST_P(Gemm, EqualsScalarLoops) {
  install();
  const Kind kind = Kind(GetParam());
  const bool bytes = kind <= Kind::SS;
  constexpr int kRowBytes = 256;
  std::mt19937 random(7);
  std::vector<uint8_t> a(kSize * kRowBytes), b(kRowBytes * kSize);
  std::vector<uint32_t> c(kSize * kSize, 0xeeeeeeee), expected(c.size());
  for (auto *operand : {&a, &b})
    for (size_t i = 0; i < operand->size(); i += 2) {
      float value = float(int(random() % 2001) - 1000) / 250;
      uint16_t bits = bytes ? uint16_t(random()) : kind == Kind::Bf16 ? f32ToBf16Row(value) : f32ToF16(value);
      if (!bytes && random() % 16 == 0) bits = uint16_t(random() & (kind == Kind::Bf16 ? 0x807f : 0x83ff)); // denormal
      memcpy(&(*operand)[i], &bits, 2);
    }
  Configuration configuration;
  Arguments arguments = {a.data(), b.data(), c.data(), &configuration.palette};
  Counts before = counts();
  gemm(kRowBytes, kind)(&arguments);
  Group group = bytes ? Group::TileInt8 : kind == Kind::Bf16 ? Group::TileBf16 : Group::TileFp16;
  if (!nativeFeatures().has(Feature::AmxTile)) {
    EXPECT_EQ(counts().of(group) - before.of(group), 4u * kRowBytes / 64);
  }
  for (int m = 0; m < kSize; ++m)
    for (int n = 0; n < kSize; ++n) {
      const uint8_t *row = a.data() + m * kRowBytes;
      expected[size_t(m * kSize + n)] =
          bytes ? byteProduct(row, b.data(), kRowBytes, kind, n)
                : std::bit_cast<uint32_t>(pairProduct(reinterpret_cast<const uint16_t *>(row),
                                                      reinterpret_cast<const uint16_t *>(b.data()), kRowBytes / 2, kind,
                                                      n));
    }
  EXPECT_EQ(c, expected);
}

INSTANTIATE_TEST_SUITE_P(Amx, Gemm, testing::Range(0, 6),
                         [](const auto &info) { return std::string(kNames[info.param]); });

/// Tiles of 5 rows and 12 columns: nothing else is read or written, and what is left of a tile becomes zero.
TEST(AmxTiles, SmallShapes) {
  install();
  Configuration configuration;
  configuration.rows[0] = 5, configuration.columnBytes[0] = 12;
  struct {
    Configuration *configuration;
    uint8_t in[16][64], out[16][64];
  } s = {&configuration, {}, {}};
  std::mt19937 random(1);
  for (auto &row : s.in)
    for (uint8_t &byte : row) byte = uint8_t(random());
  memset(s.out, 0xcc, sizeof s.out);
  Program([&](Assembler &g) {
    g.mov(g.rax, g.ptr[g.rdi]);
    g.ldtilecfg(g.ptr[g.rax]);
    g.mov(g.eax, 64);
    g.tileloadd(Xbyak::Tmm(0), g.ptr[g.rdi + g.rax + 8]);
    g.tilestored(g.ptr[g.rdi + g.rax + (8 + 1024)], Xbyak::Tmm(0));
    g.tilerelease();
  })(&s);
  for (int r = 0; r < 16; ++r)
    for (int i = 0; i < 64; ++i) EXPECT_EQ(s.out[r][i], r < 5 && i < 12 ? s.in[r][i] : 0xcc) << r << " " << i;
}

/// Tile state belongs to a thread.
TEST(AmxTiles, Threads) {
  install();
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &wrong] {
      constexpr int kRowBytes = 512;
      std::vector<int8_t> a(kSize * kRowBytes, int8_t(t + 1)), b(kRowBytes * kSize, -2);
      std::vector<int32_t> c(kSize * kSize);
      Configuration configuration;
      Arguments arguments = {a.data(), b.data(), c.data(), &configuration.palette};
      Program program = gemm(kRowBytes, Kind::SS);
      for (int i = 0; i < 5; ++i) program(&arguments);
      for (int32_t value : c) wrong[size_t(t)] += value != -2 * (t + 1) * kRowBytes;
    });
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

} // namespace
} // namespace llmc::test::isa
