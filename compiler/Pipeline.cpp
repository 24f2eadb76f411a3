#include "compiler/Pipeline.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "passes/graph/Graph.h"
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
  step.addPass(createStackExperts());
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

void addLinalg(OpPassManager &pm, const Options &, const Target &) { buildLinalgPipeline(pm); }
void addBuffers(OpPassManager &pm, const Options &, const Target &) { buildBuffersPipeline(pm); }
void addGraphLower(OpPassManager &pm, const Options &, const Target &t) { buildGraphToLlvmPipeline(pm, t.name); }

constexpr Stage kStages[] = {
    {"import", "the model as its file has it: llm ops, or llm.onnx_node for ONNX", false, addImport},
    {"raise", "llm ops only, one form for every input format", false, addRaise},
    {"quantize", "each weight in its scheme: wq.linear", false, addQuantize},
    {"fuse", "q/k/v and gate/up joined; rope, cache and attention in one op", false, addFuse},
    {"split", "@pack computes packed weights, @step reads them", false, addSplit},
    {"rows", "activations in the format that linears read; norms write it", true, addRows},
    {"select", "kernel.call of catalogue kernels for every op", true, addSelect},
    {"plan", "an arena offset for each value", true, addPlan},
    {"synchronize", "barriers where threads exchange data", true, addSynchronize},
    {"lower", "the step as an LLVM function", true, addLower},
};

constexpr Stage kGraphStages[] = {
    {"import", "llm.onnx_node", false, addImport},
    {"linalg", "arith, tensor, scf and linalg ops on tensors", false, addLinalg},
    {"buffers", "the same on buffers, each freed after its last use", false, addBuffers},
    {"lower", "loops as LLVM functions", true, addGraphLower},
};

llvm::Error runStage(const Stage &stage, ModuleOp module, const Options &options, const Target &target) {
  PassManager pm(module.getContext());
  stage.add(pm, options, target);
  if (succeeded(pm.run(module))) return llvm::Error::success();
  return llvm::createStringError(std::string("stage ") + stage.name + " failed");
}

llvm::Error checkStopAfter(const std::string &name, llvm::ArrayRef<Stage> table) {
  std::string names;
  for (const Stage &stage : table) {
    if (name.empty() || name == stage.name) return llvm::Error::success();
    (names += names.empty() ? "" : ", ") += stage.name;
  }
  return llvm::createStringError("stop-after: found '" + name + "', expected one of " + names);
}

} // namespace

llvm::ArrayRef<Stage> stages() { return kStages; }
llvm::ArrayRef<Stage> graphStages() { return kGraphStages; }

llvm::Expected<std::vector<Variant>> runStages(ModuleOp module, const Options &options, llvm::ArrayRef<Target> targets,
                                               llvm::ArrayRef<Stage> table, AfterStage after) {
  if (llvm::Error error = checkStopAfter(options.stopAfter, table)) return std::move(error);
  std::vector<Variant> variants;
  for (const Stage &stage : table) {
    if (!stage.perTarget) {
      if (llvm::Error error = runStage(stage, module, options, targets.front())) return std::move(error);
    } else if (variants.empty()) {
      for (const Target &target : targets) variants.push_back({target, module.clone()});
    }
    for (Variant &variant : variants)
      if (llvm::Error error = runStage(stage, *variant.module, options, variant.target)) return std::move(error);
    after(stage, variants);
    if (options.stopAfter == stage.name) break;
  }
  return variants;
}

} // namespace llmc
