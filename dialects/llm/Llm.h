// The llm dialect: the model as a person would draw it (LlmOps.td is its manual).
#pragma once
#include "dialects/llm/Rope.h"
#include "dialects/wq/Wq.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/llm/LlmDialect.h.inc"
#include "dialects/llm/LlmEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/llm/LlmAttrs.h.inc"
#define GET_OP_CLASSES
#include "dialects/llm/LlmOps.h.inc"

namespace llmc::llm {
/// Name of the function that is the model.
inline constexpr llvm::StringLiteral kStep = "step";
/// i64 attributes of the module (see LlmOps.td).
inline constexpr llvm::StringLiteral kVocab = "llm.vocab", kHidden = "llm.hidden", kLayers = "llm.layers",
                                     kMaxContext = "llm.max_context";
} // namespace llmc::llm
