#include "passes/graph/Lowerings.h"
#include "llvm/ADT/StringMap.h"

namespace llmc::graph {
namespace {

using Rows = llvm::ArrayRef<Lowering> (*)();
constexpr Rows kFiles[] = {
    activationLowerings,
    castLowerings,
    controlLowerings,
    elementwiseLowerings,
    fillLowerings,
    gatherLowerings,
    movementLowerings,
    scatterLowerings,
    selectionLowerings,
    shapeLowerings,
    // Sums, products, normalisation, attention, windows.
    attentionLowerings,
    convLowerings,
    deformLowerings,
    distinctLowerings,
    einsumLowerings,
    groupQueryLowerings,
    imageLowerings,
    layerNormLowerings,
    linearAttentionLowerings,
    lossLowerings,
    matmulLowerings,
    microsoftLowerings,
    multiHeadLowerings,
    normLowerings,
    poolLowerings,
    quantizeLowerings,
    recurrentLowerings,
    reduceLowerings,
    resizeLowerings,
    sampleLowerings,
    scanLowerings,
    signalLowerings,
    softmaxLowerings,
};

std::string keyOf(llvm::StringRef domain, llvm::StringRef name) { return (domain + ":" + name).str(); }

llvm::StringMap<const Lowering *> joined() {
  llvm::StringMap<const Lowering *> table;
  for (Rows rows : kFiles)
    for (const Lowering &row : rows()) table.try_emplace(keyOf(row.domain, row.name), &row);
  return table;
}

} // namespace

const Lowering *findLowering(llvm::StringRef domain, llvm::StringRef name) {
  static const llvm::StringMap<const Lowering *> table = joined();
  return table.lookup(keyOf(domain, name));
}

} // namespace llmc::graph
