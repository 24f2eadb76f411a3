// The plain way: a graph that was not raised, as loops. Slow rather than rejected.
#pragma once
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace llmc {
#define GEN_PASS_DECL
#include "passes/graph/GraphPasses.h.inc"

/// What the stages of the plain way need in a context: dialects, and how their ops become ops on buffers.
void registerGraphDialects(mlir::DialectRegistry &registry);
void registerGraphPasses();

/// Nodes -> tensors -> buffers -> the llvm dialect.
void buildLinalgPipeline(mlir::OpPassManager &manager);
void buildBuffersPipeline(mlir::OpPassManager &manager);
void buildGraphToLlvmPipeline(mlir::OpPassManager &manager, llvm::StringRef target = "");

/// Attributes of the module: arrays of dictionaries {name, type, dims (i64, -1: any), symbols (strings)} and
/// {storage, offset}.
inline constexpr llvm::StringLiteral kGraphInputs = "llmc.graph_inputs", kGraphOutputs = "llmc.graph_outputs",
                                     kGraphWeights = "llmc.graph_weights";
/// The function on tensors, and the one that the runtime calls.
inline constexpr llvm::StringLiteral kGraph = "llmc_graph", kGraphEntry = "llmc_graph_entry";

} // namespace llmc
