// The graph of a model as a function.
#pragma once
#include "frontends/onnx/Proto.h"
#include "frontends/onnx/Tensors.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <map>

namespace llmc::onnx {

/// Argument and result attribute of @step: the name in the graph.
inline constexpr llvm::StringLiteral kNameAttr = "llm.name";
/// Argument attribute of @step: the names of its dims, "" for one without.
inline constexpr llvm::StringLiteral kDimsAttr = "llm.dims";

/// Versions of ai.onnx that are read. Of those before 7, the operators that have not changed since.
inline constexpr int64_t kOldestOpset = 1, kNewestOpset = 28;

/// A module with @step. `opsets` has the version of each domain ("" is ai.onnx).
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
importGraph(const ::onnx::ModelProto &model, const std::map<std::string, int64_t> &opsets, const TensorReader &tensors);

/// Gives each table of cosines and sines that a rotary operator reads its `rope` (or `no_rope`) attribute; see
/// llm.onnx_tensor. Reads the tables. Errors are those of reading.
llvm::Error recoverRopes(mlir::ModuleOp module, const TensorReader &tensors);

} // namespace llmc::onnx
