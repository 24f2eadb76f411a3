// The stage table: the only list of passes.
#pragma once
#include "codegen/Target.h"
#include "compiler/Options.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace llmc {

/// A named part of the pipeline. `llmc compile --stop-after=NAME` prints the module that it leaves.
struct Stage {
  const char *name;
  const char *leaves; // what holds after it
  void (*add)(mlir::OpPassManager &, const Options &, const Target &);
};

/// All stages, in order.
llvm::ArrayRef<Stage> stages();

/// Runs the stages up to and including options.stopAfter (empty: all) and verifies after each. Diagnostics go to the
/// context's handler; the error names the stage. An unknown stage is an error that lists the names. `after` sees what
/// each stage leaves.
llvm::Error runStages(
    mlir::ModuleOp module, const Options &options, const Target &target,
    llvm::function_ref<void(const Stage &)> after = [](const Stage &) {});

} // namespace llmc
