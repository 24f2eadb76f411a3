// The files of lowerings: each exports its rows here, and Table.cpp joins them.
#pragma once
#include "passes/graph/NodeLowering.h"

namespace llmc::graph {
llvm::ArrayRef<Lowering> elementwiseLowerings();
llvm::ArrayRef<Lowering> activationLowerings();
llvm::ArrayRef<Lowering> castLowerings();
llvm::ArrayRef<Lowering> shapeLowerings();
llvm::ArrayRef<Lowering> movementLowerings();
llvm::ArrayRef<Lowering> gatherLowerings();
llvm::ArrayRef<Lowering> scatterLowerings();
llvm::ArrayRef<Lowering> fillLowerings();
llvm::ArrayRef<Lowering> selectionLowerings();
llvm::ArrayRef<Lowering> controlLowerings();
llvm::ArrayRef<Lowering> attentionLowerings();
llvm::ArrayRef<Lowering> convLowerings();
llvm::ArrayRef<Lowering> deformLowerings();
llvm::ArrayRef<Lowering> distinctLowerings();
llvm::ArrayRef<Lowering> einsumLowerings();
llvm::ArrayRef<Lowering> groupQueryLowerings();
llvm::ArrayRef<Lowering> imageLowerings();
llvm::ArrayRef<Lowering> layerNormLowerings();
llvm::ArrayRef<Lowering> linearAttentionLowerings();
llvm::ArrayRef<Lowering> lossLowerings();
llvm::ArrayRef<Lowering> matmulLowerings();
llvm::ArrayRef<Lowering> microsoftLowerings();
llvm::ArrayRef<Lowering> multiHeadLowerings();
llvm::ArrayRef<Lowering> normLowerings();
llvm::ArrayRef<Lowering> poolLowerings();
llvm::ArrayRef<Lowering> quantizeLowerings();
llvm::ArrayRef<Lowering> recurrentLowerings();
llvm::ArrayRef<Lowering> reduceLowerings();
llvm::ArrayRef<Lowering> resizeLowerings();
llvm::ArrayRef<Lowering> sampleLowerings();
llvm::ArrayRef<Lowering> scanLowerings();
llvm::ArrayRef<Lowering> signalLowerings();
llvm::ArrayRef<Lowering> softmaxLowerings();
} // namespace llmc::graph
