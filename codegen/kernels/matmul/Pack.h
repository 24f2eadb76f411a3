// The packed weight layout of README.md, written and read by plain loops. Everything that makes or reads packed weights
// outside of an emitter goes through here.
#pragma once
#include "codegen/Descriptor.h"

namespace llmc {

/// The value of an IEEE binary16, of a bfloat16.
float f16ToF32(uint16_t bits);
float bf16ToF32(uint16_t bits);
/// The value of element `index` of an array of 16-bit or 32-bit scales.
float scaleToF32(ScaleType type, const void *scales, int64_t index);

/// One panel's weights before packing. Strides are in bytes, from one column (output) to the next; elements of a column
/// are contiguous. Nothing is rounded: scales and minima are the raw bits of the packed format.
struct PanelSource {
  // I4, I8
  const uint8_t *codes = nullptr; // [columns][k], one code a byte: 0..15 or 0..255
  int64_t codeStride = 0;
  const void *scales = nullptr; // [columns][groups]: f16, bf16 (16 bits) or f32, as WeightFormat::scale says
  int64_t scaleStride = 0;
  const void *offsets = nullptr; // [columns][groups]: u8 zero points, f16 or f32 minima; null for Offset::None
  int64_t offsetStride = 0;
  // F16, BF16, F32
  const void *rows = nullptr; // [columns][k] in the packed type
  int64_t rowStride = 0;
};

/// Packs `columns` (1..64) columns of k inputs, groups = paddedK(k)/group, into one panel: writes all of
/// f.panelBytes(k), padding included. `out` may have any alignment.
void packPanel(const WeightFormat &f, int64_t k, int64_t columns, const PanelSource &source, uint8_t *out);

/// A packed weight taken apart: code, scale and offset of the element at (column n, input k).
struct PackedElement {
  int code = 0;      // I4, I8
  float scale = 1;   // I4, I8
  int zero = 0;      // what is subtracted from the code: 8, 128, the zero point; 0 with a minimum
  float minimum = 0; // what is added to code * scale
  float value = 0;   // floats: the value; integers: (code - zero) * scale + minimum
};
/// `packed` is panel 0 of a weight with k inputs.
PackedElement unpackElement(const WeightFormat &f, int64_t k, const void *packed, int64_t n, int64_t index);
/// Column n as f32: out[0..k).
void unpackColumn(const WeightFormat &f, int64_t k, const void *packed, int64_t n, float *out);

} // namespace llmc
