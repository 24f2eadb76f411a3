#include "dialects/llm/Eval.h"
#include "llmc_kernel.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

namespace llmc::llm {
using namespace eval;
using Result = llvm::Expected<Tensor>;

void Evaluator::reset() {
  cache.clear();
  cachedPositions = 0;
}

llvm::Error Evaluator::checkStep(llvm::ArrayRef<int32_t> tokens, llvm::ArrayRef<int32_t> positions,
                                 llvm::ArrayRef<int32_t> logitRows) const {
  if (tokens.empty() || tokens.size() != positions.size())
    return llvm::createStringError(
        llvm::formatv("step: found {0} tokens and {1} positions", tokens.size(), positions.size()));
  if (positions[0] < 0 || positions[0] > cachedPositions)
    return llvm::createStringError(llvm::formatv("step: found position {0}, expected 0 to {1}, the cached positions",
                                                 positions[0], cachedPositions));
  for (size_t i = 1; i < positions.size(); ++i)
    if (positions[i] != positions[0] + int64_t(i))
      return llvm::createStringError(
          llvm::formatv("step: found position {0}, expected {1}", positions[i], positions[0] + i));
  for (int32_t row : logitRows)
    if (row < 0 || size_t(row) >= tokens.size())
      return llvm::createStringError(
          llvm::formatv("step: found logit row {0}, expected one of {1} rows", row, tokens.size()));
  return llvm::Error::success();
}

llvm::Expected<std::vector<float>> Evaluator::step(llvm::ArrayRef<int32_t> tokens, llvm::ArrayRef<int32_t> positions,
                                                   llvm::ArrayRef<int32_t> logitRows) {
  if (llvm::Error error = checkStep(tokens, positions, logitRows)) return error;
  auto function = module.lookupSymbol<mlir::func::FuncOp>(kStep);
  if (!function || function.getNumArguments() != 3 || !function.getBody().hasOneBlock())
    return llvm::createStringError("found no @step of (tokens, positions, logit rows) with one block");
  values.clear();
  arguments.clear();
  for (auto [argument, list] : llvm::zip(function.getArguments(), std::array{tokens, positions, logitRows}))
    arguments[argument] = list;
  length = positions.back() + 1;
  for (mlir::Operation &op : function.getBody().front()) {
    if (llvm::all_of(op.getResults(), isWeight) && op.getNumResults()) continue; // read when used
    if (llvm::Error error = readOperands(op)) return error;
    if (auto done = llvm::dyn_cast<mlir::func::ReturnOp>(op)) {
      cachedPositions = length;
      return tensor(done.getOperand(0)).data;
    }
    Result y = evaluate(op);
    if (!y) return y.takeError();
    mlir::Type element = llvm::cast<mlir::RankedTensorType>(op.getResult(0).getType()).getElementType();
    if (auto rows = llvm::dyn_cast<wq::RowsType>(element))
      *y = roundRows(*y, y->rows <= LLMC_FEW_ROWS ? rows.getFew() : rows.getMany());
    values[op.getResult(0)] = std::make_shared<Tensor>(std::move(*y));
  }
  return llvm::createStringError("found @step without a return");
}

const Tensor &Evaluator::tensor(mlir::Value value) const {
  auto known = values.find(value);
  return known != values.end() ? *known->second : *weights.find(value)->second;
}

/// Makes tensor() safe for every operand, reading weights that are used for the first time.
llvm::Error Evaluator::readOperands(mlir::Operation &op) {
  for (mlir::Value operand : op.getOperands()) {
    if (values.contains(operand) || arguments.contains(operand) || weights.contains(operand)) continue;
    Result t = weight(operand, module, files);
    if (!t) return t.takeError();
    weights[operand] = std::make_shared<Tensor>(std::move(*t));
  }
  return llvm::Error::success();
}

template <typename Op> static AttentionShape shapeOf(Op op, const Tensor *sinks) {
  return {int64_t(op.getHeads()),           int64_t(op.getKvHeads()),
          int64_t(op.getHeadDim()),         int64_t(op.getWindow()),
          op.getScale().convertToFloat(),   op.getAlibi(),
          op.getSoftcap().convertToFloat(), sinks};
}

template <typename Op> static Routing routingOf(Op op) {
  return {int64_t(op.getK()), op.getActivation(), op.getRenormalise(), op.getScale().convertToFloat()};
}

Result Evaluator::evaluateExperts(ExpertsOp op) {
  auto rows = llvm::dyn_cast<wq::RowsType>(op.getHidden());
  const Tensor &x = tensor(op.getX());
  wq::RowFormatAttr hidden = !rows ? wq::RowFormatAttr() : x.rows <= LLMC_FEW_ROWS ? rows.getFew() : rows.getMany();
  return experts(x, tensor(op.getLogits()), routingOf(op), tensor(op.getGateUp()), tensor(op.getDown()),
                 optionalTensor(op.getResidual()), hidden);
}

Result Evaluator::evaluateEmbed(EmbedOp op) {
  const Tensor &table = tensor(op.getTable());
  for (int32_t token : indices(op.getTokens()))
    if (token < 0 || token >= table.rows)
      return llvm::createStringError(
          llvm::formatv("llm.embed: found token {0}, expected 0 to {1}", token, table.rows - 1));
  return embed(indices(op.getTokens()), table, op.getScale().convertToFloat());
}

Result Evaluator::evaluateRope(RopeOp op) {
  std::vector<float> frequencies(op.getRope().getInvFreq().begin(), op.getRope().getInvFreq().end());
  Tensor table = ropeTable(indices(op.getPositions()), frequencies, op.getRope(), length);
  return rope(tensor(op.getX()), table, op.getHeads(), op.getRope());
}

Result Evaluator::evaluateSelectRows(SelectRowsOp op) {
  for (int32_t row : indices(op.getRows()))
    if (row < 0 || row >= tensor(op.getX()).rows)
      return llvm::createStringError(
          llvm::formatv("llm.select_rows: found row {0} of {1}", row, tensor(op.getX()).rows));
  return selectRows(tensor(op.getX()), indices(op.getRows()));
}

Result Evaluator::evaluate(mlir::Operation &operation) {
  return llvm::TypeSwitch<mlir::Operation *, Result>(&operation)
      .Case<EmbedOp>([&](auto op) { return evaluateEmbed(op); })
      .Case<RopeOp>([&](auto op) { return evaluateRope(op); })
      .Case<SelectRowsOp>([&](auto op) { return evaluateSelectRows(op); })
      .Case<LinearOp>(
          [&](auto op) { return linear(tensor(op.getX()), tensor(op.getW()), optionalTensor(op.getBias()), nullptr); })
      .Case<wq::LinearOp>([&](auto op) {
        return linear(tensor(op.getX()), tensor(op.getW()), optionalTensor(op.getBias()),
                      optionalTensor(op.getResidual()));
      })
      .Case<RmsNormOp>(
          [&](auto op) { return rmsNorm(tensor(op.getX()), tensor(op.getWeight()), op.getEpsilon().convertToFloat()); })
      .Case<HeadNormOp>([&](auto op) {
        return headNorm(tensor(op.getX()), tensor(op.getWeight()), op.getEpsilon().convertToFloat());
      })
      .Case<QkNormOp>([&](auto op) {
        return qkNorm(tensor(op.getX()), tensor(op.getQ()), tensor(op.getK()), op.getHeads(), op.getKvHeads(),
                      op.getEpsilon().convertToFloat());
      })
      .Case<LayerNormOp>([&](auto op) {
        return layerNorm(tensor(op.getX()), tensor(op.getWeight()), optionalTensor(op.getBias()),
                         op.getEpsilon().convertToFloat());
      })
      .Case<ActivateOp>([&](auto op) { return activateRows(tensor(op.getX()), op.getActivation()); })
      .Case<RopeTableOp>([&](auto op) {
        return ropeTable(indices(op.getPositions()), tensor(op.getInvFreq()).data, op.getRope(), length);
      })
      .Case<AttentionOp>([&](auto op) {
        return attention(tensor(op.getQ()), tensor(op.getK()), tensor(op.getV()), indices(op.getPositions()),
                         shapeOf(op, optionalTensor(op.getSinks())), cache[op.getLayer()]);
      })
      .Case<AttentionKvOp>([&](auto op) {
        return attentionKv(tensor(op.getQkv()), indices(op.getPositions()), optionalTensor(op.getTable()),
                           op.getRope().value_or(RopeAttr()), shapeOf(op, optionalTensor(op.getSinks())),
                           cache[op.getLayer()]);
      })
      .Case<ConcatColumnsOp>([&](auto op) {
        return concatColumns(llvm::map_to_vector(op.getParts(), [&](mlir::Value part) { return &tensor(part); }));
      })
      .Case<GatedMulOp>([&](auto op) { return gatedMul(tensor(op.getGate()), tensor(op.getUp()), op.getActivation()); })
      .Case<GluOp>([&](auto op) { return glu(tensor(op.getX()), op.getActivation()); })
      .Case<GluLinearOp>([&](auto op) {
        Tensor both = linear(tensor(op.getX()), tensor(op.getW()), optionalTensor(op.getBias()), nullptr);
        return gluInTurns(both, op.getActivation());
      })
      .Case<MoeOp>([&](auto op) {
        auto tensors = [&](mlir::OperandRange list) {
          return llvm::map_to_vector(list, [&](mlir::Value v) { return &tensor(v); });
        };
        return moe(tensor(op.getX()), tensor(op.getLogits()), routingOf(op), tensors(op.getGate()), tensors(op.getUp()),
                   tensors(op.getDown()));
      })
      .Case<ExpertsOp>([&](auto op) { return evaluateExperts(op); })
      .Case<AddOp>([&](auto op) { return add(tensor(op.getA()), tensor(op.getB())); })
      .Case<ScaleOp>([&](auto op) {
        return scaleRows(tensor(op.getX()), op.getScale().convertToFloat(), op.getSoftcap().convertToFloat());
      })
      // Its result type says how the rows are rounded, which step() does for every op.
      .Case<wq::QuantizeRowsOp>([&](auto op) { return tensor(op.getX()); })
      .Default([](mlir::Operation *op) -> Result {
        return llvm::createStringError("found " + op->getName().getStringRef().str() +
                                       ", expected an llm or wq op of @step");
      });
}

} // namespace llmc::llm
