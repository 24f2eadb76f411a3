#include "mlir/Pass/Pass.h" // first: the conversion headers need it

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/ControlFlow/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "passes/graph/Graph.h"

using namespace mlir;

namespace llmc {
namespace {
#define GEN_PASS_REGISTRATION
#include "passes/graph/GraphPasses.h.inc"

/// Few rounds: what is left is left to LLVM.
void addCanonicalize(OpPassManager &manager) {
  GreedyRewriteConfig config;
  config.setMaxIterations(2);
  manager.addPass(createCanonicalizerPass(config));
}
} // namespace

void registerGraphDialects(DialectRegistry &registry) {
  registry.insert<affine::AffineDialect, arith::ArithDialect, bufferization::BufferizationDialect,
                  cf::ControlFlowDialect, func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
                  math::MathDialect, memref::MemRefDialect, scf::SCFDialect, tensor::TensorDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(registry);
  cf::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
}

void buildLinalgPipeline(OpPassManager &manager) {
  manager.addPass(createOnnxToLinalg());
  addCanonicalize(manager);
  manager.addPass(createCSEPass());
}

void buildBuffersPipeline(OpPassManager &manager) {
  bufferization::OneShotBufferizePassOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.allowReturnAllocsFromLoops = true;
  options.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  manager.addPass(bufferization::createOneShotBufferizePass(options));
  addCanonicalize(manager);
  manager.addPass(createCSEPass());
  manager.nest<func::FuncOp>().addPass(createFreeBuffers());
}

void buildGraphToLlvmPipeline(OpPassManager &manager, StringRef target) {
  manager.addPass(createOutlineLoops());
  OpPassManager &functions = manager.nest<func::FuncOp>();
  functions.addPass(createConvertLinalgToLoopsPass());
  functions.addPass(memref::createExpandStridedMetadataPass());
  functions.addPass(createLowerAffinePass());
  functions.addPass(createSCFToControlFlowPass());
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true; // bf16 by bits: without AVX512-BF16 LLVM would call a library that artifacts do not have
  functions.addPass(arith::createArithExpandOpsPass(expand));
  manager.addPass(createLowerGraph({target.str()}));
  manager.addPass(createReconcileUnrealizedCastsPass());
}

void registerGraphPasses() {
  registerLlmcGraphPasses();
  PassPipelineRegistration<>("llmc-graph-linalg", "nodes to linalg on tensors", buildLinalgPipeline);
  PassPipelineRegistration<>("llmc-graph-buffers", "tensors to buffers", buildBuffersPipeline);
  PassPipelineRegistration<>("llmc-graph-llvm", "buffers to the llvm dialect",
                             [](OpPassManager &manager) { buildGraphToLlvmPipeline(manager); });
}

} // namespace llmc
