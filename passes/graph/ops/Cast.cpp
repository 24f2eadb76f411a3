// Casts, and what only passes a tensor on.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"

using namespace mlir;

namespace llmc::graph {
namespace {

llvm::Expected<Values> lowerCast(NodeLowering &n) {
  if (isa<Float8E8M0FNUType>(n.outType()) && n.stringAttr("round_mode", "up") != "up")
    return refuse("round_mode: found '" + n.stringAttr("round_mode", "up") + "', expected up");
  auto value = convertTensor(n, n.in(0), n.inType(0), n.outType(), n.intAttr("saturate", 1) != 0);
  if (!value) return value.takeError();
  return Values{*value};
}

llvm::Expected<Values> lowerIdentity(NodeLowering &n) { return Values{n.in(0)}; }

/// Dropout of a model that is not being trained: the tensor, and a mask of what is kept, all of it.
llvm::Expected<Values> lowerDropout(NodeLowering &n) {
  if (n.has(2)) {
    std::optional<SmallVector<int64_t>> training = n.constant(2);
    if (!training || training->size() != 1) return refuse("training_mode is not known while compiling");
    if (training->front() != 0) return refuse("training_mode is true, expected a model that is not trained");
  }
  Values results{n.in(0)};
  if (n.wants(1)) results.push_back(filled(n.b, dimsOf(n.b, n.in(0)), integer(n.b, n.b.getI1Type(), 1)));
  return results;
}

constexpr Lowering kRows[] = {{"", "Cast", lowerCast},
                              {"", "CastLike", lowerCast},
                              {"", "Dropout", lowerDropout},
                              {"", "Identity", lowerIdentity}};

} // namespace

llvm::ArrayRef<Lowering> castLowerings() { return kRows; }

} // namespace llmc::graph
