#include "dialects/llm/Decoder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringSet.h"
#include <cmath>

using namespace mlir;

namespace llmc::llm {
namespace {

/// Writes the body of @step; a weight's symbol is made at its first use, before the function.
class DecoderBuilder {
public:
  DecoderBuilder(MLIRContext &context, const DecoderSpec &spec) : spec(spec), builder(&context) {}

  OwningOpRef<ModuleOp> build() {
    OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
    const std::pair<StringRef, int64_t> sizes[] = {{kVocab, spec.vocab},
                                                   {kHidden, spec.hidden},
                                                   {kLayers, int64_t(spec.layers.size())},
                                                   {kMaxContext, spec.maxContext}};
    for (auto [name, value] : sizes) (*module)->setAttr(name, builder.getI64IntegerAttr(value));
    auto indices = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
    auto type = builder.getFunctionType({indices, indices, indices}, {rows(spec.vocab)});
    builder.setInsertionPointToEnd(module->getBody());
    step = func::FuncOp::create(builder, named("step"), kStep, type);
    Block *body = step.addEntryBlock();
    builder.setInsertionPointToEnd(body);
    tokens = body->getArgument(0), positions = body->getArgument(1);
    auto logits = writeBody(body->getArgument(2));
    func::ReturnOp::create(builder, named("step"), logits);
    return module;
  }

private:
  /// f32 activations, a row per token.
  RankedTensorType rows(int64_t columns) {
    return RankedTensorType::get({ShapedType::kDynamic, columns}, builder.getF32Type());
  }
  Location named(const Twine &name) { return NameLoc::get(builder.getStringAttr(name)); }
  /// The module that a weight belongs to: "model.norm.weight" -> model.norm.
  Location owner(const DecoderWeight &weight) { return named(StringRef(weight.name).rsplit('.').first); }

  Value get(const DecoderWeight &weight) {
    Location loc = owner(weight);
    if (made.insert(weight.name).second) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPoint(step);
      SmallVector<Attribute> storage(weight.storage.begin(), weight.storage.end());
      auto optional = [&](int64_t value) { return value ? builder.getI64IntegerAttr(value) : IntegerAttr(); };
      WeightOp::create(builder, loc, builder.getStringAttr(weight.name), TypeAttr::get(weight.type),
                       builder.getArrayAttr(storage), optional(weight.storedRows), optional(weight.rowBegin),
                       weight.transposed ? builder.getUnitAttr() : UnitAttr(), optional(weight.interleavedHeads));
    }
    return GetWeightOp::create(builder, loc, weight.type, FlatSymbolRefAttr::get(builder.getContext(), weight.name));
  }

  Value linear(Value x, const DecoderLinear &linear) {
    Value weight = get(linear.weight), bias = linear.bias ? get(*linear.bias) : Value();
    return LinearOp::create(builder, owner(linear.weight), rows(linear.weight.type.getDimSize(0)), x, weight, bias);
  }

  Value norm(Value x, const DecoderWeight &weight) {
    Value value = get(weight);
    return RmsNormOp::create(builder, owner(weight), x.getType(), x, value, builder.getF32FloatAttr(spec.epsilon));
  }

  Value headNorm(Value x, const DecoderWeight &weight) {
    Value value = get(weight);
    return HeadNormOp::create(builder, owner(weight), x.getType(), x, value, builder.getF32FloatAttr(spec.epsilon));
  }

  Value attention(Value x, const DecoderLayer &layer, int64_t index, Location loc) {
    auto i64 = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
    Value q = linear(x, layer.q), k = linear(x, layer.k), v = linear(x, layer.v);
    if (layer.qNorm) q = headNorm(q, *layer.qNorm);
    if (layer.kNorm) k = headNorm(k, *layer.kNorm);
    q = RopeOp::create(builder, loc, q.getType(), q, positions, i64(spec.heads), spec.rope);
    k = RopeOp::create(builder, loc, k.getType(), k, positions, i64(spec.kvHeads), spec.rope);
    auto scale = builder.getF32FloatAttr(float(1.0 / std::sqrt(double(spec.headDim))));
    return AttentionOp::create(builder, loc, q.getType(), q, k, v, positions, i64(index), i64(spec.heads),
                               i64(spec.kvHeads), i64(spec.headDim), scale, i64(layer.window));
  }

  ActivationAttr silu() { return ActivationAttr::get(builder.getContext(), Activation::Silu); }

  Value mlp(Value x, const DecoderLayer &layer, Location loc) {
    Value gate = linear(x, layer.gate), up = linear(x, layer.up);
    Value gated = GatedMulOp::create(builder, loc, gate.getType(), gate, up, silu());
    return linear(gated, layer.down);
  }

  Value experts(Value x, const DecoderExperts &experts, Location loc) {
    Value logits = linear(x, experts.router);
    auto all = [&](const std::vector<DecoderWeight> &weights) {
      return llvm::map_to_vector(weights, [&](const DecoderWeight &weight) { return get(weight); });
    };
    auto gate = all(experts.gate), up = all(experts.up), down = all(experts.down);
    return MoeOp::create(builder, loc, x.getType(), x, logits, gate, up, down, builder.getI64IntegerAttr(experts.k),
                         silu(), experts.renormalise ? builder.getUnitAttr() : UnitAttr(),
                         builder.getF32FloatAttr(1.0f));
  }

  Value writeLayer(Value x, const DecoderLayer &layer, int64_t index) {
    std::string prefix = "model.layers." + std::to_string(index);
    Location loc = named(prefix), attentionLoc = named(prefix + ".self_attn"), mlpLoc = named(prefix + ".mlp");
    Value branch = attention(norm(x, layer.inputNorm), layer, index, attentionLoc);
    branch = linear(branch, layer.o);
    x = AddOp::create(builder, loc, x.getType(), x, branch);
    branch = norm(x, layer.postAttentionNorm);
    branch = layer.experts ? experts(branch, *layer.experts, mlpLoc) : mlp(branch, layer, mlpLoc);
    return AddOp::create(builder, loc, x.getType(), x, branch);
  }

  Value writeBody(Value logitRows) {
    Value table = get(spec.embedding);
    Value x = EmbedOp::create(builder, owner(spec.embedding), rows(spec.hidden), tokens, table,
                              builder.getF32FloatAttr(1.0f));
    for (size_t i = 0; i < spec.layers.size(); ++i) x = writeLayer(x, spec.layers[i], int64_t(i));
    x = SelectRowsOp::create(builder, named("lm_head"), x.getType(), x, logitRows);
    x = norm(x, spec.finalNorm);
    if (spec.head) return linear(x, *spec.head);
    Value weight = get(spec.embedding);
    return LinearOp::create(builder, named("lm_head"), rows(spec.vocab), x, weight, Value());
  }

  const DecoderSpec &spec;
  OpBuilder builder;
  func::FuncOp step;
  Value tokens, positions;
  llvm::StringSet<> made;
};
} // namespace

llvm::Expected<RopeAttr> makeRope(MLIRContext &context, const RopeConfig &config, ArrayRef<float> divisors) {
  context.loadDialect<LlmDialect>();
  llvm::Expected<RopeTable> table = computeRope(config);
  if (!table) return table.takeError();
  if (!divisors.empty() && divisors.size() != table->invFreq.size())
    return llvm::createStringError("rope: found " + std::to_string(divisors.size()) + " frequency divisors, expected " +
                                   std::to_string(table->invFreq.size()));
  for (size_t i = 0; i < divisors.size(); ++i) table->invFreq[i] /= divisors[i];
  for (float frequency : table->invFreq)
    if (!std::isfinite(frequency) || frequency < 0)
      return llvm::createStringError("rope: found an inverse frequency of " + std::to_string(frequency) +
                                     ", expected finite ones");
  if (!std::isfinite(table->scale) || table->scale <= 0)
    return llvm::createStringError("rope: found an attention factor of " + std::to_string(table->scale) +
                                   ", expected a positive number");
  bool dynamic = config.type == "dynamic";
  SmallVector<F32> frequencies(table->invFreq.begin(), table->invFreq.end());
  return RopeAttr::get(&context, config.dim, RopeStyle::Half, frequencies, table->scale,
                       dynamic ? config.originalMaxPositions : 0, dynamic ? float(config.theta) : 0.0f,
                       dynamic ? float(config.factor) : 1.0f);
}

llvm::Expected<OwningOpRef<ModuleOp>> buildDecoder(MLIRContext &context, const DecoderSpec &spec) {
  context.loadDialect<func::FuncDialect, LlmDialect, wq::WqDialect>();
  OwningOpRef<ModuleOp> module = DecoderBuilder(context, spec).build();
  std::string reason;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (reason.empty()) reason = diagnostic.str();
    return success();
  });
  if (failed(verify(*module))) return llvm::createStringError("the model's module is not valid: " + reason);
  return module;
}

} // namespace llmc::llm
