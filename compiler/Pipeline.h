// The stage table: the only list of passes.
#pragma once
#include "codegen/Target.h"
#include "compiler/CallReport.h"
#include "compiler/Options.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace llmc {

/// A named part of the pipeline. `llmc compile --stop-after=NAME` prints the module that it leaves.
struct Stage {
  const char *name;
  const char *leaves; // what holds after it
  bool perTarget;     // depends on the target, so that it runs once for each
  void (*add)(mlir::OpPassManager &, const Options &, const Target &);
};

/// The step for one target.
struct Variant {
  Target target;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<CallRow> calls; // of the step, for the report
};

/// All stages, in order; and those of the plain way of a graph that is not raised (passes/graph).
llvm::ArrayRef<Stage> stages();
llvm::ArrayRef<Stage> graphStages();

/// Sees what a stage leaves.
using AfterStage = llvm::function_ref<void(const Stage &, llvm::MutableArrayRef<Variant>)>;

/// Runs the stages of `table` up to and including options.stopAfter (empty: all) and verifies after each. The stages
/// that do not depend on a target work on `module`; the others on a copy of it for each target. No copies are made if
/// options stop before. Diagnostics go to the context's handler; the error names the stage. A stage that is not in the
/// table is an error that lists the names.
llvm::Expected<std::vector<Variant>> runStages(
    mlir::ModuleOp module, const Options &options, llvm::ArrayRef<Target> targets, llvm::ArrayRef<Stage> table,
    AfterStage after = [](const Stage &, llvm::MutableArrayRef<Variant>) {});

} // namespace llmc
