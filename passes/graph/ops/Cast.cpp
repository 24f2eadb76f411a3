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
    Value trains = scalarOf(n, 2), kept = integer(n.b, n.b.getI1Type(), 0);
    if (n.has(1)) {
      Value ratio = toCompute(n.b, scalarOf(n, 1));
      kept = arith::CmpFOp::create(n.b, arith::CmpFPredicate::OEQ, ratio, zero(n.b, ratio.getType()));
    }
    Value infers = arith::CmpIOp::create(n.b, arith::CmpIPredicate::eq, trains, integer(n.b, n.b.getI1Type(), 0));
    check(n, arith::OrIOp::create(n.b, infers, kept), "training with a ratio that is not 0 drops at random");
  }
  Values results{n.in(0)};
  if (n.wants(1)) results.push_back(filled(n.b, dimsOf(n.b, n.in(0)), integer(n.b, n.b.getI1Type(), 1)));
  return results;
}

/// The same bits as elements of another type of the same size. A bool is a byte, 0 or 1.
llvm::Expected<Values> lowerBitCast(NodeLowering &n) {
  Type from = n.type(0).getElementType(), to = n.element();
  if (from == to) return Values{n.in(0)};
  auto bytes = [](Type type) { return type.isInteger(1) ? 8 : type.getIntOrFloatBitWidth(); };
  if (bytes(from) != bytes(to)) return refuse("elements of another size");
  return Values{generate(n.b, dimsOf(n.b, n.in(0)), to, [&](Builder &inner, ValueRange i) -> Value {
    Value element = at(inner, n.in(0), i);
    if (from.isInteger(1)) return arith::ExtUIOp::create(inner, to, element);
    if (to.isInteger(1)) return arith::TruncIOp::create(inner, to, element);
    return arith::BitcastOp::create(inner, to, element);
  })};
}

constexpr Lowering kRows[] = {{"", "BitCast", lowerBitCast},
                              {"", "Cast", lowerCast},
                              {"", "CastLike", lowerCast},
                              {"", "Dropout", lowerDropout},
                              {"", "Identity", lowerIdentity}};

} // namespace

llvm::ArrayRef<Lowering> castLowerings() { return kRows; }

} // namespace llmc::graph
