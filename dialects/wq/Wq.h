// The wq dialect: weight-only quantisation (WqOps.td is its manual).
#pragma once
#include "dialects/F32.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/wq/WqDialect.h.inc"
#include "dialects/wq/WqEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/wq/WqAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/wq/WqTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/wq/WqOps.h.inc"

namespace llmc::wq {
/// The scheme that holds an encoding's values exactly (q4_0 -> i4 g32 f16, q4_k -> i4 g32 f32 scales and minima, ...).
/// f32, which is no integer scheme, for nf4 and for groups in act order.
SchemeAttr exactScheme(EncodedType encoded);
/// The scheme of a float element type (f16, bf16, f32), group 0.
SchemeAttr floatScheme(mlir::Type element);
} // namespace llmc::wq
