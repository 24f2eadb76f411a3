// From the nodes of an ONNX graph to the llm dialect; RaisePasses.td is the manual.
#pragma once
#include "dialects/llm/Llm.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include <memory>

namespace llmc {
#define GEN_PASS_DECL
#include "passes/raise/RaisePasses.h.inc"

/// All raising passes in their order: an imported module in, one as the other frontends build it out.
void buildRaisePipeline(mlir::OpPassManager &manager);

/// Registers the passes, each under its flag, and the pipeline as --llmc-raise.
void registerRaisePasses();

} // namespace llmc
