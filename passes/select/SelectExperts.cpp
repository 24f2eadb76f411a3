#include "passes/select/SelectExperts.h"
#include "passes/support/Formats.h"

using namespace mlir;

namespace llmc {
namespace {

/// Columns that a thread adds up at a time: enough parts for many threads where there are few rows.
constexpr int64_t kScatterColumns = 512;

RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }

class ExpertsSelector {
public:
  ExpertsSelector(llm::ExpertsOp op, OpBuilder &builder, KernelPicker &pick)
      : op(op), builder(builder), pick(pick), k(op.getK()), experts(op.numExperts()) {}

  FailureOr<Value> select() {
    FailureOr<Value> y = choose();
    if (succeeded(y)) choice = *y, y = sort();
    if (succeeded(y)) plan = *y, y = gather();
    if (succeeded(y)) y = gateUp(*y);
    if (succeeded(y)) y = down(*y);
    return failed(y) ? y : scatter(*y);
  }

private:
  struct Rowwise {
    RowwiseOp op;
    int64_t columns;
    RankedTensorType type; // of the result
    int64_t xStride, yStride;
    int64_t rowsEach = 1;
    float scale = 1;
    int64_t parts = 1;
    bool accumulate = false;
  };

  FailureOr<kernel::CallOp> rowwise(const Rowwise &r, ArrayRef<Value> inputs, ArrayRef<StringRef> roles) {
    auto routing = kernel::RoutingAttr::get(op.getContext(), k, experts, op.getRenormalise(), r.parts, r.accumulate);
    auto attr = kernel::RowwiseAttr::get(op.getContext(), rowwiseOpName(r.op), r.columns, fewOf(r.type), manyOf(r.type),
                                         r.xStride, r.yStride, F32(0), 0, {}, r.scale, 0, F32(0), F32(1), false,
                                         r.op == RowwiseOp::Quantize ? kernel::RoutingAttr() : routing, 0, 0);
    FailureOr<ArrayAttr> callees = pick.rowwise(op.getLoc(), attr);
    if (failed(callees)) return failure();
    kernel::CallOp c = call(r.type, inputs, roles, *callees, kernel::Partition::Rows, 1);
    c.setRowsEach(r.rowsEach);
    return c;
  }

  kernel::CallOp call(RankedTensorType type, ArrayRef<Value> inputs, ArrayRef<StringRef> roles, ArrayAttr callees,
                      kernel::Partition partition, int64_t units) {
    bool ofExperts = partition == kernel::Partition::Experts;
    return kernel::CallOp::create(builder, op.getLoc(), type, inputs, callees, builder.getStrArrayAttr(roles),
                                  partition, units, /*logit_rows=*/false, /*replicated=*/false, /*many=*/false,
                                  IntegerAttr(), IntegerAttr(), 0, 0, FlatSymbolRefAttr(), ofExperts ? k : 1,
                                  ofExperts ? experts : 0, /*few_callees=*/ofExperts ? 1 : 0, strideOf(type),
                                  IntegerAttr());
  }

  RankedTensorType indices(int64_t bytes) {
    return RankedTensorType::get({ShapedType::kDynamic, bytes / 4}, builder.getI32Type());
  }

  FailureOr<Value> choose() {
    int64_t bytes = moeChoiceBytes(k);
    auto c = rowwise({.op = RowwiseOp::MoeChoose,
                      .columns = experts,
                      .type = indices(bytes),
                      .xStride = strideOf(typeOf(op.getLogits())),
                      .yStride = bytes,
                      .scale = op.getScale().convertToFloat()},
                     {op.getLogits()}, {"x"});
    if (failed(c)) return failure();
    c->setRowBytes(bytes);
    return c->getY();
  }

  FailureOr<Value> sort() {
    int64_t bytes = moePlanBytes(experts, k);
    auto c = rowwise({.op = RowwiseOp::MoeSort,
                      .columns = experts,
                      .type = indices(bytes),
                      .xStride = moeChoiceBytes(k),
                      .yStride = bytes},
                     {choice}, {"x"});
    if (failed(c)) return failure();
    c->setPartition(kernel::Partition::Blocks);
    c->setRowBytes(bytes);
    return c->getY();
  }

  FailureOr<Value> gather() {
    RankedTensorType type = typeOf(op.getX());
    auto c = rowwise({.op = RowwiseOp::MoeGather,
                      .columns = type.getDimSize(1),
                      .type = type,
                      .xStride = strideOf(type),
                      .yStride = strideOf(type),
                      .rowsEach = k},
                     {op.getX(), plan}, {"x", "w"});
    if (failed(c)) return failure();
    c->setRowBytes(k * strideOf(type));
    return c->getY();
  }

  FailureOr<kernel::CallOp> matmul(kernel::MatmulAttr attr, RankedTensorType type, Value x, Value w) {
    auto callees = pick.experts(op.getLoc(), attr);
    if (failed(callees)) return failure();
    kernel::CallOp c = call(type, {x, w, plan}, {"x", "w", "plan"}, callees->first, kernel::Partition::Experts,
                            roundUp(attr.getN(), kPanel) / kPanel);
    c.setFewCallees(callees->second);
    c.setRowBytes(k * strideOf(type));
    return c;
  }

  FailureOr<Value> gateUp(Value x) {
    auto wanted = RankedTensorType::get({ShapedType::kDynamic, op.hiddenColumns()}, op.getHidden());
    RankedTensorType written = rowsOfGlu(wanted), from = typeOf(x);
    auto attr =
        kernel::MatmulAttr::get(op.getContext(), 2 * op.hiddenColumns(), from.getDimSize(1), schemeOf(op.getGateUp()),
                                fewOf(from), manyOf(from), false, false, int64_t(op.getActivation()), true, false,
                                fewOf(written), manyOf(written), strideOf(from), strideOf(written));
    FailureOr<kernel::CallOp> c = matmul(attr, written, x, op.getGateUp());
    if (failed(c)) return failure();
    return written == wanted ? c->getY() : quantize(c->getY(), wanted);
  }

  /// The rows that a GLU writes where `wanted` ones are to be had: q8 in blocks of 32, or f32.
  RankedTensorType rowsOfGlu(RankedTensorType wanted) {
    RowFormat few = fewRows(wanted), many = manyRows(wanted);
    if (few != RowFormat::Q8 && few != RowFormat::F32) few = RowFormat::F32, many = RowFormat::F32;
    if (many != RowFormat::Q8) many = RowFormat::F32;
    if (few == RowFormat::F32 && many == RowFormat::F32) return wanted.clone(builder.getF32Type());
    auto attr = [&](RowFormat f) {
      wq::RowFormatAttr a = toAttr(op.getContext(), f);
      return a ? a : wq::RowFormatAttr::get(op.getContext(), wq::RowKind::F32);
    };
    return wanted.clone(wq::RowsType::get(op.getContext(), attr(few), attr(many)));
  }

  FailureOr<Value> quantize(Value x, RankedTensorType wanted) {
    bool onlyMany = fewRows(typeOf(x)) == fewRows(wanted);
    RankedTensorType type = wanted;
    if (onlyMany) { // few rows are as they should be: one kernel, for many
      auto many = cast<wq::RowsType>(wanted.getElementType()).getMany();
      type = wanted.clone(wq::RowsType::get(op.getContext(), many, many));
    }
    auto c = rowwise({.op = RowwiseOp::Quantize,
                      .columns = wanted.getDimSize(1),
                      .type = type,
                      .xStride = strideOf(typeOf(x)),
                      .yStride = strideOf(type),
                      .rowsEach = k},
                     {x}, {"x"});
    if (failed(c)) return failure();
    c->setRowBytes(k * strideOf(type));
    c->setMany(onlyMany);
    if (!onlyMany) return c->getY();
    return kernel::ByRowsOp::create(builder, op.getLoc(), wanted, x, c->getY()).getY();
  }

  FailureOr<Value> down(Value x) {
    RankedTensorType from = typeOf(x), type = cast<RankedTensorType>(op.getType());
    auto attr = kernel::MatmulAttr::get(op.getContext(), type.getDimSize(1), op.hiddenColumns(), schemeOf(op.getDown()),
                                        fewOf(from), manyOf(from), false, false, 0, false, false, {}, {},
                                        strideOf(from), strideOf(type));
    FailureOr<kernel::CallOp> c = matmul(attr, type, x, op.getDown());
    if (failed(c)) return failure();
    return c->getY();
  }

  FailureOr<Value> scatter(Value x) {
    auto type = cast<RankedTensorType>(op.getType());
    int64_t columns = type.getDimSize(1), parts = (columns + kScatterColumns - 1) / kScatterColumns;
    SmallVector<Value> inputs = {x, choice, plan};
    SmallVector<StringRef> roles = {"x", "w", "b"};
    if (op.getResidual()) inputs.push_back(op.getResidual()), roles.push_back("y");
    auto c = rowwise({.op = RowwiseOp::MoeScatter,
                      .columns = columns,
                      .type = type,
                      .xStride = strideOf(type),
                      .yStride = strideOf(type),
                      .rowsEach = parts,
                      .parts = parts,
                      .accumulate = bool(op.getResidual())},
                     inputs, roles);
    if (failed(c)) return failure();
    if (op.getResidual()) c->setTied(int64_t(inputs.size()) - 1);
    return c->getY();
  }

  llm::ExpertsOp op;
  OpBuilder &builder;
  KernelPicker &pick;
  int64_t k, experts;
  Value choice, plan;
};

} // namespace

FailureOr<Value> selectExperts(llm::ExpertsOp op, OpBuilder &builder, KernelPicker &pick) {
  return ExpertsSelector(op, builder, pick).select();
}

} // namespace llmc
