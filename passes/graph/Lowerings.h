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
} // namespace llmc::graph
