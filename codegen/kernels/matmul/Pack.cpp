#include "codegen/kernels/matmul/Pack.h"
#include <algorithm>
#include <bit>
#include <cstring>

namespace llmc {
namespace {

template <typename T> T load(const void *from, int64_t index = 0) {
  T value;
  memcpy(&value, static_cast<const char *>(from) + index * int64_t(sizeof(T)), sizeof(T));
  return value;
}

/// What a code past K is, so that it decodes to 0 (with a minimum: to the minimum, which meets x = 0).
uint8_t paddingCode(const WeightFormat &f, const PanelSource &source, int64_t column, int64_t group) {
  if (f.offset == Offset::ZeroPoint)
    return static_cast<const uint8_t *>(source.offsets)[column * source.offsetStride + group];
  return f.offset != Offset::None ? 0 : f.kind == WeightKind::I4 ? 8 : 128;
}

/// Codes of one column and group, into the column's dwords of the block: one dword each 256 bytes.
void packCodes(WeightKind kind, const uint8_t *codes, int64_t count, uint8_t *out) {
  if (kind == WeightKind::I8) {
    for (int64_t k = 0; k < count; k += 4, out += 4 * kPanel) memcpy(out, codes + k, 4);
    return;
  }
  for (int64_t k = 0; k < count; k += 8, out += 4 * kPanel) {
    uint32_t low = load<uint32_t>(codes + k), high = load<uint32_t>(codes + k + 4);
    uint32_t dword = (low & 0x0f0f0f0f) | (high & 0x0f0f0f0f) << 4;
    memcpy(out, &dword, 4);
  }
}

/// `columns` elements, one each `stride` bytes, to 64 contiguous ones; those past `columns` are 0.
template <typename T> void gather(const void *from, int64_t stride, int64_t columns, uint8_t *out) {
  for (int64_t n = 0; n < kPanel; ++n) {
    T value = n < columns ? load<T>(static_cast<const char *>(from) + n * stride) : T(0);
    memcpy(out + n * int64_t(sizeof(T)), &value, sizeof(T));
  }
}

void gatherBytes(int64_t size, const void *from, int64_t index, int64_t stride, int64_t columns, uint8_t *out) {
  const char *first = static_cast<const char *>(from) + index * size;
  size == 1   ? gather<uint8_t>(first, stride, columns, out)
  : size == 2 ? gather<uint16_t>(first, stride, columns, out)
              : gather<uint32_t>(first, stride, columns, out);
}

void packInteger(const WeightFormat &f, int64_t k, int64_t columns, const PanelSource &source, uint8_t *out) {
  std::vector<uint8_t> padded(f.group);
  for (int64_t group = 0; group * f.group < k; ++group, out += f.blockBytes()) {
    int64_t first = group * f.group, count = std::min(f.group, k - first);
    for (int64_t n = 0; n < kPanel; ++n) {
      const uint8_t *codes = padded.data();
      if (n >= columns) {
        std::fill(padded.begin(), padded.end(), 0);
      } else if (count == f.group) {
        codes = source.codes + n * source.codeStride + first;
      } else {
        std::fill(padded.begin(), padded.end(), paddingCode(f, source, n, group));
        memcpy(padded.data(), source.codes + n * source.codeStride + first, count);
      }
      packCodes(f.kind, codes, f.group, out + 4 * n);
    }
    gatherBytes(f.scaleBytes() / kPanel, source.scales, group, source.scaleStride, columns, out + f.codeBytes());
    if (f.offset != Offset::None)
      gatherBytes(f.offsetBytes() / kPanel, source.offsets, group, source.offsetStride, columns,
                  out + f.codeBytes() + f.scaleBytes());
  }
}

void packFloat(const WeightFormat &f, int64_t k, int64_t columns, const PanelSource &source, uint8_t *out) {
  int64_t pair = f.kind == WeightKind::F32 ? 1 : 2; // k per dword
  int64_t whole = k / pair;
  for (int64_t n = 0; n < kPanel; ++n) {
    const char *row = static_cast<const char *>(source.rows) + n * source.rowStride;
    for (int64_t i = 0; i < f.paddedK(k) / pair; ++i) {
      uint32_t dword = n >= columns ? 0 : i < whole ? load<uint32_t>(row, i) : load<uint16_t>(row, k - 1);
      memcpy(out + (i * kPanel + n) * 4, &dword, 4);
    }
  }
}

} // namespace

float f16ToF32(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, rest = uint32_t(bits & 0x7fff) << 13;
  if (rest >= 0x7c00u << 13) return std::bit_cast<float>(sign | rest | 0x7f800000); // infinity, NaN
  float magnitude = std::bit_cast<float>(rest) * 0x1p112f; // exact: moves the exponent bias from 15 to 127
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

float bf16ToF32(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

float scaleToF32(ScaleType type, const void *scales, int64_t index) {
  if (type == ScaleType::F32) return load<float>(scales, index);
  uint16_t bits = load<uint16_t>(scales, index);
  return type == ScaleType::F16 ? f16ToF32(bits) : bf16ToF32(bits);
}

void packPanel(const WeightFormat &f, int64_t k, int64_t columns, const PanelSource &source, uint8_t *out) {
  f.isInteger() ? packInteger(f, k, columns, source, out) : packFloat(f, k, columns, source, out);
}

static PackedElement unpackInteger(const WeightFormat &f, const uint8_t *panel, int64_t column, int64_t k) {
  const uint8_t *block = panel + k / f.group * f.blockBytes();
  const uint8_t *scales = block + f.codeBytes(), *offsets = scales + f.scaleBytes();
  int64_t in = k % f.group;
  PackedElement e;
  if (f.kind == WeightKind::I4) {
    uint8_t byte = block[in / 8 * 4 * kPanel + column * 4 + in % 4];
    e.code = in % 8 < 4 ? byte & 15 : byte >> 4;
  } else {
    e.code = block[in / 4 * 4 * kPanel + column * 4 + in % 4];
  }
  e.scale = scaleToF32(f.scale, scales, column);
  switch (f.offset) {
  case Offset::None: e.zero = f.kind == WeightKind::I4 ? 8 : 128; break;
  case Offset::ZeroPoint: e.zero = offsets[column]; break;
  case Offset::MinF16: e.minimum = scaleToF32(ScaleType::F16, offsets, column); break;
  case Offset::MinF32: e.minimum = scaleToF32(ScaleType::F32, offsets, column); break;
  }
  e.value = float(e.code - e.zero) * e.scale + e.minimum;
  return e;
}

PackedElement unpackElement(const WeightFormat &f, int64_t k, const void *packed, int64_t n, int64_t index) {
  const uint8_t *panel = static_cast<const uint8_t *>(packed) + n / kPanel * f.panelBytes(k);
  int64_t column = n % kPanel;
  if (f.isInteger()) return unpackInteger(f, panel, column, index);
  PackedElement e;
  if (f.kind == WeightKind::F32) {
    e.value = load<float>(panel, index * kPanel + column);
  } else {
    uint16_t bits = load<uint16_t>(panel, (index / 2 * kPanel + column) * 2 + index % 2);
    e.value = f.kind == WeightKind::F16 ? f16ToF32(bits) : bf16ToF32(bits);
  }
  return e;
}

void unpackColumn(const WeightFormat &f, int64_t k, const void *packed, int64_t n, float *out) {
  for (int64_t i = 0; i < k; ++i) out[i] = unpackElement(f, k, packed, n, i).value;
}

} // namespace llmc
