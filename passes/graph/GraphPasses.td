// The manual of the passes of the plain way: a graph of ONNX nodes -> linalg -> loops -> LLVM. Needs, leaves, refuses.
#ifndef LLMC_GRAPH_PASSES
#define LLMC_GRAPH_PASSES
include "mlir/Pass/PassBase.td"

def OnnxToLinalg : Pass<"llmc-onnx-to-linalg", "mlir::ModuleOp"> {
  let summary = "every node becomes arith, math, tensor, scf and linalg ops on ranked tensors";
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect", "::mlir::cf::ControlFlowDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
  let description = [{
    Needs @step of an imported graph, nothing raised. Leaves `@llmc_graph(%run, %weights, inputs...) -> outputs` on
    tensors of signless elements (NodeLowering.h), `llmc.graph_inputs`, `llmc.graph_outputs` (what llmc.h tells of them)
    and `llmc.graph_weights` (which bytes of which file go where) on the module. Arithmetic on small integer tensors is
    scalar code, and folded where it can be. Checks that only the run can make are cf.assert.
    Refuses (error): an operator without a lowering; what the lowering of a node refuses; an input without a rank.
  }];
}
def FreeBuffers : Pass<"llmc-free-buffers", "mlir::func::FuncOp"> {
  let summary = "memref.dealloc behind the last use of what a block allocates";
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
  let description = [{
    Needs bufferized functions. A buffer that leaves its block (returned, or carried by a loop) is left to the runtime,
    which frees whatever a run still has when it ends.
  }];
}
def OutlineLoops : Pass<"llmc-outline-loops", "mlir::ModuleOp"> {
  let summary = "each linalg op, and each loop over buffers, in a function of its own; equal ones share it";
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect"];
  let description = [{
    Layers repeat their operations, and LLVM is slow on one large function. Copies between buffers of which one is not
    contiguous become linalg too.
  }];
}
def LowerGraph : Pass<"llmc-lower-graph", "mlir::ModuleOp"> {
  let summary = "to the llvm dialect, with the runtime's memory and errors";
  let options = [Option<"target", "target", "std::string", "\"\"", "name at the end of the entry's symbol">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
  let description = [{
    Needs loops (no linalg, no scf). memref.alloc and .dealloc call llmc_graph_alloc and llmc_graph_free, a failed
    cf.assert llmc_graph_fail, which does not return. Leaves `@llmc_graph_entry(run, weights, bytes, inputs, outputs)`.
  }];
}
#endif
