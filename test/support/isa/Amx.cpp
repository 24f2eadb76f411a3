// AMX: TILE, INT8, BF16, FP16 (Intel SDM volume 1, chapter 18, and volume 2). Tiles are this thread's own; nothing is
// shared with the CPU's. Compiled for AVX2, FMA and F16C.
#include "test/support/isa/Instructions.h"
#include <cstring>
#include <immintrin.h>

namespace llmc::test::isa {
namespace {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;

/// The memory form of a configuration, as LDTILECFG and STTILECFG have it.
struct Configuration {
  uint8_t palette, startRow, reserved[14];
  uint16_t columnBytes[16]; // of tiles 0..7; the others are 0
  uint8_t rows[16];
};
static_assert(sizeof(Configuration) == 64);

struct Tiles {
  Configuration configuration;
  uint8_t data[kTiles][kRows][kRowBytes];
};
thread_local Tiles tiles; // plain data: nothing may be constructed inside a handler

unsigned rowsOf(int tile) { return tiles.configuration.rows[tile]; }
unsigned bytesOf(int tile) { return tiles.configuration.columnBytes[tile]; }

bool isZero(const void *bytes, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (static_cast<const uint8_t *>(bytes)[i]) return false;
  return true;
}

void loadConfiguration(const Instruction &i, const uint8_t *from) {
  Configuration c;
  memcpy(&c, from, sizeof c);
  faultIf(c.palette > 1, i, "#GP: palette");
  if (c.palette == 0) {
    memset(&tiles, 0, sizeof tiles);
    return;
  }
  faultIf(!isZero(c.reserved, sizeof c.reserved), i, "#GP: reserved bytes of a tile configuration");
  faultIf(!isZero(c.columnBytes + kTiles, 2 * kTiles), i, "#GP: columns of tiles 8 to 15");
  faultIf(!isZero(c.rows + kTiles, kTiles), i, "#GP: rows of tiles 8 to 15");
  for (int t = 0; t < kTiles; ++t) {
    faultIf(c.columnBytes[t] > kRowBytes || c.rows[t] > kRows, i, "#GP: size of a tile");
    faultIf(!c.columnBytes[t] != !c.rows[t], i, "#GP: a tile with rows or columns alone");
  }
  tiles.configuration = c;
  memset(tiles.data, 0, sizeof tiles.data);
}

void requireTile(const Instruction &i, int tile) {
  faultIf(!tiles.configuration.palette, i, "#UD: no tile configuration");
  faultIf(tile >= kTiles || !rowsOf(tile), i, "#UD: tile not configured");
  faultIf(bytesOf(tile) % 4, i, "#UD: columns of a tile are no multiple of 4 bytes");
}

/// What an operation leaves of its destination past rows and columns is zero.
void storeRow(int tile, unsigned row, const void *values) {
  memset(tiles.data[tile][row], 0, kRowBytes);
  memcpy(tiles.data[tile][row], values, bytesOf(tile));
}
void clearRows(int tile, unsigned from) { memset(tiles.data[tile][from], 0, kRowBytes * (kRows - from)); }

/// d += a b of bytes: four products each, wrapping at 32 bits.
template <typename A, typename B> void multiplyBytes(int d, int a, int b) {
  for (unsigned m = 0; m < rowsOf(d); ++m) {
    uint32_t sums[16];
    memcpy(sums, tiles.data[d][m], sizeof sums);
    for (unsigned k = 0; k < bytesOf(a) / 4; ++k) {
      const uint8_t *x = tiles.data[a][m] + 4 * k, *y = tiles.data[b][k];
      for (int n = 0; n < 16; ++n)
        for (int j = 0; j < 4; ++j) sums[n] += uint32_t(int(A(x[j])) * int(B(y[4 * n + j])));
    }
    storeRow(d, m, sums);
  }
  clearRows(d, rowsOf(d));
}

/// Eight pairs of 16 bits as f32: the even and the odd elements.
struct Pairs {
  __m256 even, odd;
};

Pairs bf16Pairs(__m256i bits) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)),
          _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(int(0xffff0000))))};
}

/// VCVTPH2PS ignores DAZ, as TDPFP16PS does: denormals of 16 bits count.
Pairs fp16Pairs(__m256i bits) {
  auto convert = [](__m256i low) {
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0xd8);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
  };
  return {convert(_mm256_and_si256(bits, _mm256_set1_epi32(0xffff))), convert(_mm256_srli_epi32(bits, 16))};
}

/// d += a b of pairs: a chain of fused multiply-adds for the even products, one for the odd ones, then d + (even +
/// odd). Round to nearest even, denormals of f32 are zeros, whatever the program's MXCSR.
template <Pairs (*pairsOf)(__m256i)> void multiplyPairs(int d, int a, int b) {
  const unsigned mxcsr = _mm_getcsr();
  _mm_setcsr(0x1f80 | 0x8040); // exceptions masked; flush to zero, denormals are zeros
  for (unsigned m = 0; m < rowsOf(d); ++m) {
    __m256 even[2] = {}, odd[2] = {};
    for (unsigned k = 0; k < bytesOf(a) / 4; ++k) {
      int pair;
      memcpy(&pair, tiles.data[a][m] + 4 * k, 4);
      Pairs x = pairsOf(_mm256_set1_epi32(pair));
      for (int half = 0; half < 2; ++half) {
        const auto *from = reinterpret_cast<const __m256i *>(tiles.data[b][k] + 32 * half);
        Pairs y = pairsOf(_mm256_loadu_si256(from));
        even[half] = _mm256_fmadd_ps(x.even, y.even, even[half]);
        odd[half] = _mm256_fmadd_ps(x.odd, y.odd, odd[half]);
      }
    }
    float sums[16];
    memcpy(sums, tiles.data[d][m], sizeof sums);
    for (int half = 0; half < 2; ++half) {
      __m256 sum = _mm256_add_ps(_mm256_loadu_ps(sums + 8 * half), _mm256_add_ps(even[half], odd[half]));
      _mm256_storeu_ps(sums + 8 * half, sum);
    }
    storeRow(d, m, sums);
  }
  clearRows(d, rowsOf(d));
  _mm_setcsr(mxcsr);
}

/// LDTILECFG, STTILECFG, TILERELEASE, TILEZERO.
bool executeConfiguration(Frame &frame, const Instruction &i) {
  faultIf(i.vvvv, i, "#UD: VEX.vvvv");
  if (i.memory) {
    faultIf(i.reg & 7, i, "#UD: ModRM.reg");
    if (i.prefix == 0) loadConfiguration(i, i.address(frame));
    if (i.prefix == 1) memcpy(i.address(frame), &tiles.configuration, sizeof tiles.configuration);
    return i.prefix <= 1;
  }
  if (i.rm != 0) return false;
  if (i.prefix == 0 && i.reg == 0) {
    memset(&tiles, 0, sizeof tiles);
    return true;
  }
  if (i.prefix != 3) return false;
  requireTile(i, i.reg);
  clearRows(i.reg, 0);
  tiles.configuration.startRow = 0;
  return true;
}

/// TILELOADD, TILELOADDT1, TILESTORED: rows one stride (the index register) apart.
bool executeTransfer(Frame &frame, const Instruction &i) {
  if (!i.memory || i.prefix == 0) return false;
  faultIf(!i.hasSib, i, "#UD: tile in memory without SIB");
  faultIf(i.vvvv, i, "#UD: VEX.vvvv");
  requireTile(i, i.reg);
  uint8_t &start = tiles.configuration.startRow;
  faultIf(start >= rowsOf(i.reg), i, "#UD: start row");
  uint8_t *memory = i.baseAddress(frame);
  uint64_t stride = i.index >= 0 ? frame.gpr(i.index) << i.scale : 0;
  const bool isStore = i.prefix == 2;
  if (!isStore) clearRows(i.reg, start);
  for (unsigned row = start; row < rowsOf(i.reg); ++row) {
    uint8_t *at = memory + row * stride, *tile = tiles.data[i.reg][row];
    isStore ? memcpy(at, tile, bytesOf(i.reg)) : memcpy(tile, at, bytesOf(i.reg));
  }
  start = 0;
  return true;
}

/// TDP*: destination, A (rows x k) in ModRM.rm, B (k x columns) in VEX.vvvv.
std::optional<Group> executeProduct(const Instruction &i) {
  const bool bytes = i.opcode == 0x5e;
  if (i.memory || (!bytes && i.prefix < 2)) return std::nullopt;
  int d = i.reg, a = i.rm, b = i.vvvv;
  faultIf(d == a || d == b || a == b, i, "#UD: one tile twice");
  for (int tile : {d, a, b}) requireTile(i, tile);
  faultIf(bytesOf(d) != bytesOf(b), i, "#UD: columns of the destination and of B differ");
  faultIf(rowsOf(d) != rowsOf(a), i, "#UD: rows of the destination and of A differ");
  faultIf(bytesOf(a) / 4 != rowsOf(b), i, "#UD: columns of A and rows of B differ");
  using Multiply = void (*)(int, int, int);
  static constexpr Multiply kBytes[] = {multiplyBytes<uint8_t, uint8_t>, multiplyBytes<uint8_t, int8_t>,
                                        multiplyBytes<int8_t, uint8_t>, multiplyBytes<int8_t, int8_t>};
  (bytes ? kBytes[i.prefix] : i.prefix == 2 ? multiplyPairs<bf16Pairs> : multiplyPairs<fp16Pairs>)(d, a, b);
  tiles.configuration.startRow = 0;
  return bytes ? Group::TileInt8 : i.prefix == 2 ? Group::TileBf16 : Group::TileFp16;
}

} // namespace

std::optional<Group> executeAmx(Frame &frame, const Instruction &i) {
  if (i.evex || i.map != 2 || i.wide || i.vectorLength) return std::nullopt;
  switch (i.opcode) {
  case 0x49: return executeConfiguration(frame, i) ? std::optional(Group::Tile) : std::nullopt;
  case 0x4b: return executeTransfer(frame, i) ? std::optional(Group::Tile) : std::nullopt;
  case 0x5c:
  case 0x5e: return executeProduct(i);
  default: return std::nullopt;
  }
}

} // namespace llmc::test::isa
