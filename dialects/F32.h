// A float as a parameter of an attribute: hashed and compared by its bits, parsed and printed as MLIR does.
#pragma once
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/Hashing.h"
#include <cstring>

namespace llmc {
struct F32 {
  float value = 0;
  constexpr F32() = default;
  constexpr F32(float v) : value(v) {}
  constexpr operator float() const { return value; }
  uint32_t bits() const {
    uint32_t b;
    memcpy(&b, &value, 4);
    return b;
  }
  friend bool operator==(F32 a, F32 b) { return a.bits() == b.bits(); }
};
inline llvm::hash_code hash_value(F32 f) { return llvm::hash_value(f.bits()); }
inline mlir::AsmPrinter &operator<<(mlir::AsmPrinter &printer, F32 f) {
  printer.printFloat(llvm::APFloat(f.value));
  return printer;
}
} // namespace llmc

template <> struct mlir::FieldParser<llmc::F32> {
  static FailureOr<llmc::F32> parse(AsmParser &parser) {
    double value;
    if (parser.parseFloat(value)) return failure();
    return llmc::F32(float(value));
  }
};
