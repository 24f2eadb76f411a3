#include "mlir/Pass/PassRegistry.h"
#include "passes/raise/Raise.h"

namespace llmc {
namespace {
#define GEN_PASS_REGISTRATION
#include "passes/raise/RaisePasses.h.inc"
} // namespace

void buildRaisePipeline(mlir::OpPassManager &manager) {
  manager.addPass(createRaiseSignature());
  manager.addPass(createRaiseShapes());
  manager.addPass(createRaiseLinear());
  manager.addPass(createRaiseNorm()); // after linears: it may give one a bias
  manager.addPass(createRaiseEmbed());
  manager.addPass(createRaiseRope());
  manager.addPass(createRaiseAttention());
  manager.addPass(createRaiseSdpa());
  manager.addPass(createRaiseActivation());
  manager.addPass(createFinishRaise());
}

void registerRaisePasses() {
  registerLlmcRaisePasses();
  mlir::PassPipelineRegistration<>("llmc-raise", "all raising passes", buildRaisePipeline);
}

} // namespace llmc
