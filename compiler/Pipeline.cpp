#include "compiler/Pipeline.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "passes/raise/Raise.h"

using namespace mlir;

namespace llmc {
namespace {

void addImport(OpPassManager &, const Options &, const Target &) {}
void addRaise(OpPassManager &pm, const Options &, const Target &) { buildRaisePipeline(pm); }
void addQuantize(OpPassManager &pm, const Options &o, const Target &) {
  pm.addPass(createWqAssign({o.quantize, o.groupSize, o.asymmetric, o.compute}));
  pm.addPass(createWqQuantize());
  pm.addPass(createCSEPass());
}
void addFuse(OpPassManager &pm, const Options &, const Target &) {
  OpPassManager &step = pm.nest<func::FuncOp>();
  step.addPass(createFuseAttentionKv());
  step.addPass(createFuseQkv());
  step.addPass(createFuseGateUp());
  step.addPass(createFuseResidual());
  step.addPass(createCSEPass());
}
void addSplit(OpPassManager &pm, const Options &, const Target &) { pm.addPass(createSplitWeightProgram()); }
void addRows(OpPassManager &pm, const Options &, const Target &t) {
  OpPassManager &step = pm.nest<func::FuncOp>();
  step.addPass(createChooseRowFormats({t.name}));
  step.addPass(createFuseNormIntoLinear());
}
void addSelect(OpPassManager &pm, const Options &o, const Target &t) {
  pm.addPass(createSelectKernels({t.name, o.kvType}));
  pm.nest<func::FuncOp>().addPass(createReplicateRows());
}
void addPlan(OpPassManager &pm, const Options &, const Target &) {
  pm.nest<func::FuncOp>().addPass(createPlanMemory());
}
void addSynchronize(OpPassManager &pm, const Options &, const Target &) {
  pm.nest<func::FuncOp>().addPass(createInsertBarriers());
}
void addLower(OpPassManager &pm, const Options &, const Target &t) { pm.addPass(createLowerToLlvm({t.name})); }

constexpr Stage kStages[] = {
    {"import", "the model as its file has it: llm ops, or llm.onnx_node for ONNX", addImport},
    {"raise", "llm ops only, one form for every input format", addRaise},
    {"quantize", "each weight in its scheme: wq.linear", addQuantize},
    {"fuse", "q/k/v and gate/up joined; rope, cache and attention in one op", addFuse},
    {"split", "@pack computes packed weights, @step reads them", addSplit},
    {"rows", "activations in the format that linears read; norms write it", addRows},
    {"select", "kernel.call of catalogue kernels for every op", addSelect},
    {"plan", "an arena offset for each value", addPlan},
    {"synchronize", "barriers where threads exchange data", addSynchronize},
    {"lower", "the step as an LLVM function", addLower},
};

} // namespace

llvm::ArrayRef<Stage> stages() { return kStages; }

llvm::Error runStages(ModuleOp module, const Options &options, const Target &target) {
  std::string names;
  bool known = options.stopAfter.empty();
  for (const Stage &stage : stages()) {
    known |= options.stopAfter == stage.name;
    (names += names.empty() ? "" : ", ") += stage.name;
  }
  if (!known) return llvm::createStringError("stop-after: found '" + options.stopAfter + "', expected one of " + names);
  for (const Stage &stage : stages()) {
    PassManager pm(module.getContext());
    stage.add(pm, options, target);
    if (failed(pm.run(module))) return llvm::createStringError(std::string("stage ") + stage.name + " failed");
    if (options.stopAfter == stage.name) break;
  }
  return llvm::Error::success();
}

} // namespace llmc
