// Rows of f16, bf16 and f32 as f32.
#pragma once
#include "dialects/wq/codecs/Half.h"

namespace llmc::wq {
void decodeF16(const uint8_t *in, int64_t count, float *out);
void decodeBf16(const uint8_t *in, int64_t count, float *out);
void decodeF32(const uint8_t *in, int64_t count, float *out);
} // namespace llmc::wq
