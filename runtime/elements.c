/* elements.c: names and sizes of element types. */
#include "llmc.h"

static const struct {
  const char *name;
  int64_t bytes;
} kElements[] = {
    [LLMC_F32] = {"f32", 4},
    [LLMC_U8] = {"u8", 1},
    [LLMC_I8] = {"i8", 1},
    [LLMC_U16] = {"u16", 2},
    [LLMC_I16] = {"i16", 2},
    [LLMC_I32] = {"i32", 4},
    [LLMC_I64] = {"i64", 8},
    [LLMC_BOOL] = {"bool", 1},
    [LLMC_F16] = {"f16", 2},
    [LLMC_F64] = {"f64", 8},
    [LLMC_U32] = {"u32", 4},
    [LLMC_U64] = {"u64", 8},
    [LLMC_BF16] = {"bf16", 2},
    [LLMC_F8E4M3FN] = {"f8e4m3fn", 1},
    [LLMC_F8E4M3FNUZ] = {"f8e4m3fnuz", 1},
    [LLMC_F8E5M2] = {"f8e5m2", 1},
    [LLMC_F8E5M2FNUZ] = {"f8e5m2fnuz", 1},
    [LLMC_U4] = {"u4", 1},
    [LLMC_I4] = {"i4", 1},
    [LLMC_F4E2M1] = {"f4e2m1", 1},
    [LLMC_F8E8M0] = {"f8e8m0", 1},
    [LLMC_U2] = {"u2", 1},
    [LLMC_I2] = {"i2", 1},
};

static int isElement(int32_t type) {
  return type >= 0 && type < (int32_t)(sizeof kElements / sizeof *kElements) && kElements[type].name;
}
const char *llmc_element_name(int32_t type) { return isElement(type) ? kElements[type].name : NULL; }
int64_t llmc_element_bytes(int32_t type) { return isElement(type) ? kElements[type].bytes : 0; }
