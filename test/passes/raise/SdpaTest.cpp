// Attention of real exporters' graphs, and near misses: the same graphs with one thing changed must not be raised as if
// it were not.
#include "OnnxGolden.h"
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Import.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "passes/raise/Match.h"
#include "passes/raise/Raise.h"
#include <gtest/gtest.h>

using namespace llmc;
using namespace llmc::raise;

namespace {

class Sdpa : public testing::Test {
protected:
  void load(const std::string &name) {
    llvm::Expected<ImportedModel> imported =
        importOnnx(std::string(LLMC_TEST_DATA) + "/onnx/" + name + "/model.onnx", context);
    ASSERT_TRUE(bool(imported)) << llvm::toString(imported.takeError());
    model = std::move(*imported);
  }
  std::vector<llm::OnnxNodeOp> nodes(llvm::StringRef opType) {
    std::vector<llm::OnnxNodeOp> out;
    model.module->walk([&](llm::OnnxNodeOp node) {
      if (node.getOpType() == opType) out.push_back(node);
    });
    EXPECT_FALSE(out.empty()) << opType.str();
    return out;
  }
  void rename(llm::OnnxNodeOp node, llvm::StringRef opType) {
    node.setOpTypeAttr(mlir::StringAttr::get(&context, opType));
  }
  void swapOperands(llm::OnnxNodeOp node) {
    mlir::Value first = node.getInputs()[0], second = node.getInputs()[1];
    node->setOperand(0, second), node->setOperand(1, first);
  }
  /// A constant of one number in place of an operand.
  void setNumber(llm::OnnxNodeOp node, unsigned operand, double number) {
    mlir::OpBuilder builder(node);
    auto type = mlir::cast<mlir::RankedTensorType>(node.getInputs()[operand].getType());
    mlir::Type element = type.getElementType();
    mlir::Attribute value = mlir::isa<mlir::FloatType>(element)
                                ? mlir::Attribute(builder.getFloatAttr(element, number))
                                : mlir::Attribute(builder.getIntegerAttr(element, int64_t(number)));
    auto dense = mlir::DenseElementsAttr::get(type, value);
    node->setOperand(operand, llm::OnnxConstantOp::create(builder, node.getLoc(), type, dense));
  }
  std::string run() { return test::raiseModule(model); }
  void expectRefusal(llvm::StringRef part, bool all = true) {
    EXPECT_NE(run(), "");
    std::string reason;
    model.module->walk([&](llm::OnnxNodeOp node) {
      auto refusal = node->getAttrOfType<mlir::StringAttr>(kRefusal);
      bool attends = node.getOpType() == "Softmax" || node.getOpType() == "Attention";
      if (attends && refusal && reason.empty()) reason = refusal.str();
    });
    EXPECT_NE(reason.find(part), std::string::npos) << "found: " << reason << "\nexpected: " << part.str();
    EXPECT_EQ(!attention(), all);
  }
  llm::AttentionOp attention() {
    llm::AttentionOp found;
    model.module->walk([&](llm::AttentionOp op) { found = found ? found : op; });
    return found;
  }

  mlir::MLIRContext context;
  ImportedModel model;
};

constexpr const char *kOptimum = "optimum-llama-past-fp32", *kDynamo = "dynamo-llama-past-opset18",
                     *kOperator = "dynamo-mistral-past-opset23";

//===- Masks ----------------------------------------------------------------===//
TEST_F(Sdpa, MaskThatHidesTheTokenItself) {
  load(kOptimum);
  for (llm::OnnxNodeOp node : nodes("LessOrEqual")) rename(node, "Less");
  expectRefusal("mask is not proved to be causal");
}
TEST_F(Sdpa, MaskThatLooksAhead) {
  load(kDynamo);
  for (llm::OnnxNodeOp node : nodes("LessOrEqual")) swapOperands(node);
  expectRefusal("mask is not proved to be causal");
}
TEST_F(Sdpa, MaskWhoseValueIsTooSmall) {
  load(kOptimum);
  unsigned changed = 0;
  for (llm::OnnxNodeOp node : nodes("Where"))
    for (unsigned operand : {1u, 2u})
      if (auto number = scalar(node.getInputs()[operand]); number && *number < -1e4)
        setNumber(node, operand, -100), ++changed;
  ASSERT_GT(changed, 0u);
  expectRefusal("mask is not proved to be causal");
}
TEST_F(Sdpa, NoMask) {
  load(kOperator);
  mlir::OpBuilder builder(&context);
  for (llm::OnnxNodeOp node : nodes("Attention")) {
    builder.setInsertionPoint(node);
    node->setOperand(3, llm::OnnxNoneOp::create(builder, node.getLoc(), builder.getNoneType()));
  }
  expectRefusal("mask is not proved to be causal");
}
/// The operator's own causal mask begins at the first key, not at the first new one.
TEST_F(Sdpa, CausalOperatorWithACache) {
  load(kOperator);
  mlir::OpBuilder builder(&context);
  for (llm::OnnxNodeOp node : nodes("Attention")) {
    builder.setInsertionPoint(node);
    node->setOperand(3, llm::OnnxNoneOp::create(builder, node.getLoc(), builder.getNoneType()));
    mlir::NamedAttrList attributes(node.getOnnxAttributes());
    attributes.set("is_causal", builder.getI64IntegerAttr(1));
    node.setOnnxAttributesAttr(attributes.getDictionary(&context));
  }
  expectRefusal("mask is not proved to be causal");
}
TEST_F(Sdpa, WindowIsThatOfTheMask) {
  load(kOperator);
  ASSERT_EQ(run(), "");
  int64_t window = attention().getWindow();
  EXPECT_GT(window, 0);
  load(kOperator);
  for (llm::OnnxNodeOp node : nodes("Greater")) rename(node, "GreaterOrEqual");
  ASSERT_EQ(run(), "");
  EXPECT_EQ(attention().getWindow(), window + 1);
}

//===- Rope -----------------------------------------------------------------===//
/// Concat(Neg(second half), first half).
TEST_F(Sdpa, RopeWithHalvesSwapped) {
  for (const char *name : {kOptimum, kDynamo}) {
    load(name);
    unsigned changed = 0;
    for (llm::OnnxNodeOp node : nodes("Concat"))
      if (nodeOf(node.getInputs()[0], "Neg")) swapOperands(node), ++changed;
    ASSERT_GT(changed, 0u);
    expectRefusal("q: a channel is not one of rows");
  }
}
TEST_F(Sdpa, RopeThatTurnsTheOtherWay) {
  load(kOptimum);
  for (llm::OnnxNodeOp node : nodes("Neg")) rename(node, "Identity");
  expectRefusal("rotary embedding");
}
TEST_F(Sdpa, RopeOfTwoCosines) {
  load(kDynamo);
  for (llm::OnnxNodeOp node : nodes("Sin")) rename(node, "Cos");
  expectRefusal("q: a channel is no sum of a cosine and a sine");
}
TEST_F(Sdpa, RopeOfTheSquareOfThePosition) {
  load(kOptimum);
  mlir::OpBuilder builder(&context);
  for (llm::OnnxNodeOp node : nodes("Cos")) {
    mlir::Value angle = node.getInputs()[0];
    builder.setInsertionPoint(node);
    auto two = llm::OnnxNodeOp::create(builder, node.getLoc(), angle.getType(), builder.getStringAttr("Mul"),
                                       builder.getStringAttr(""), builder.getI64IntegerAttr(18),
                                       builder.getDictionaryAttr({}), mlir::ValueRange{angle, angle});
    angle.replaceAllUsesExcept(two.getResult(0), two);
  }
  expectRefusal("position times a frequency");
}

//===- Scale, heads, cache -----------------------------------------------------===//
TEST_F(Sdpa, ScaleIsThatOfTheGraph) {
  load(kOptimum);
  ASSERT_EQ(run(), "");
  EXPECT_NEAR(attention().getScale().convertToFloat(), 0.25f, 1e-6); // 16 channels
}
/// q and k are each scaled by the root of it: of another factor of q alone comes another scale.
TEST_F(Sdpa, ScaleOfOneSide) {
  load(kOptimum);
  bool changed = false;
  for (llm::OnnxNodeOp node : nodes("Mul"))
    if (auto number = scalar(node.getInputs()[1]); number && std::abs(*number - 0.5) < 1e-6 && !changed)
      setNumber(node, 1, 0.125), changed = true;
  ASSERT_TRUE(changed);
  ASSERT_EQ(run(), "");
  EXPECT_NEAR(attention().getScale().convertToFloat(), 0.0625f, 1e-6);
}
/// Heads 0 and 2 with the first key, 1 and 3 with the second.
TEST_F(Sdpa, HeadsThatTakeTurns) {
  load(kOptimum);
  unsigned changed = 0;
  for (llm::OnnxNodeOp node : nodes("Unsqueeze")) {
    auto type = mlir::dyn_cast<mlir::RankedTensorType>(node.getResult(0).getType());
    if (nodeOf(node.getInputs()[0], "Concat") && type && type.getRank() == 5) setNumber(node, 1, 1), ++changed;
  }
  ASSERT_GT(changed, 0u);
  expectRefusal("the cache is read at other places than it is written");
}
TEST_F(Sdpa, CacheOfTheOtherKind) {
  load(kOptimum);
  auto step = model.module->lookupSymbol<mlir::func::FuncOp>("step");
  mlir::Value key, value;
  for (mlir::BlockArgument argument : step.getArguments()) {
    if (inputName(argument) == "past_key_values.0.key") key = argument;
    if (inputName(argument) == "past_key_values.0.value") value = argument;
  }
  ASSERT_TRUE(key && value);
  for (llm::OnnxNodeOp node : nodes("Concat"))
    for (mlir::OpOperand &operand : node->getOpOperands())
      operand.set(operand.get() == key ? value : operand.get() == value ? key : operand.get());
  expectRefusal("behind it", /*all=*/false); // of layer 0
}
/// The cache keeps keys before they turn, attention reads the new ones after.
TEST_F(Sdpa, CacheOfOtherKeysThanTheyAreRead) {
  load(kOptimum);
  auto terminator = model.module->lookupSymbol<mlir::func::FuncOp>("step").getBody().front().getTerminator();
  unsigned changed = 0;
  for (mlir::OpOperand &operand : terminator->getOpOperands()) {
    llm::OnnxNodeOp concat = nodeOf(operand.get(), "Concat");
    llm::OnnxNodeOp add = concat ? nodeOf(concat.getInputs()[1], "Add") : llm::OnnxNodeOp();
    llm::OnnxNodeOp mul = add ? nodeOf(add.getInputs()[0], "Mul") : llm::OnnxNodeOp();
    if (!mul) continue;
    mlir::OpBuilder builder(concat);
    auto copy = mlir::cast<llm::OnnxNodeOp>(builder.clone(*concat));
    copy->setOperand(1, mul.getInputs()[0]);
    operand.set(copy.getResult(0)), ++changed;
  }
  ASSERT_GT(changed, 0u);
  expectRefusal("keeps of it");
}
TEST_F(Sdpa, ValuesThatAreScaled) {
  load(kOptimum);
  mlir::OpBuilder builder(&context);
  for (llm::OnnxNodeOp node : nodes("Softmax")) {
    mlir::Value p = node.getResult(0);
    builder.setInsertionPointAfter(node);
    auto half = mlir::RankedTensorType::get({}, builder.getF32Type());
    mlir::Value number = llm::OnnxConstantOp::create(builder, node.getLoc(), half,
                                                     mlir::DenseElementsAttr::get(half, builder.getF32FloatAttr(0.5f)));
    auto scaled = llm::OnnxNodeOp::create(builder, node.getLoc(), p.getType(), builder.getStringAttr("Mul"),
                                          builder.getStringAttr(""), builder.getI64IntegerAttr(18),
                                          builder.getDictionaryAttr({}), mlir::ValueRange{p, number});
    p.replaceAllUsesExcept(scaled.getResult(0), scaled);
  }
  expectRefusal("probabilities are not multiplied");
}

//===- Whole graphs ------------------------------------------------------------===//
struct Decomposed {
  const char *name;
  unsigned layers;
};
void PrintTo(const Decomposed &fixture, std::ostream *out) { *out << fixture.name; }

class SdpaFixture : public Sdpa, public testing::WithParamInterface<Decomposed> {};

/// Nothing of the cache is left in the graph, and the logits are ONNX Runtime's.
TEST_P(SdpaFixture, IsAttentionOverTheCache) {
  load(GetParam().name);
  ASSERT_EQ(run(), "");
  unsigned nodes = 0, attentions = 0;
  model.module->walk([&](llm::OnnxNodeOp) { ++nodes; });
  model.module->walk([&](llm::AttentionOp) { ++attentions; });
  EXPECT_EQ(nodes, 0u);
  EXPECT_EQ(attentions, GetParam().layers);
  auto step = model.module->lookupSymbol<mlir::func::FuncOp>("step");
  EXPECT_EQ(step.getNumArguments(), 3u);
  EXPECT_EQ(step.getNumResults(), 1u);
  test::expectOnnxGolden(model, std::string(LLMC_TEST_DATA) + "/onnx/" + GetParam().name, 1e-4);
}
const Decomposed kDecomposed[] = {
    {"optimum-llama-past-fp32", 2},
    {"optimum-qwen3-past-fp32", 2},    // norms of heads
    {"optimum-gpt_neox-past-fp32", 2}, // q, k and v of each head side by side, a part of its channels rotates
    {"optimum-phi3-past-fp32", 2},     // packed q, k and v
    {"optimum-opt-past-fp32", 2},      // learned positions, the older mask
    {"dynamo-llama-past-opset18", 2},
    {"dynamo-llama-nopast-opset20", 2},
    {"dynamo-mistral-past-opset23", 2},      // the Attention operator, a window
    {"dynamo-falcon-past-opset23", 2},       // groups of q, k and v; a cache of repeated heads
    {"dynamo-gemma2-past-eager-opset23", 2}, // softcap and window
    {"torchscript-llama-past-opset17", 2},
    {"ortopt-qwen3-past", 2}, // com.microsoft RotaryEmbedding with tables
};
INSTANTIATE_TEST_SUITE_P(All, SdpaFixture, testing::ValuesIn(kDecomposed), [](const auto &info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

/// A window of one layer, none of the other; a bound on scores.
TEST_F(Sdpa, LayersOfDifferentForms) {
  load("dynamo-gemma2-past-eager-opset23");
  ASSERT_EQ(run(), "");
  std::vector<int64_t> windows;
  model.module->walk([&](llm::AttentionOp op) {
    windows.push_back(op.getWindow());
    EXPECT_GT(op.getSoftcap().convertToFloat(), 0);
  });
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_NE(windows[0] > 0, windows[1] > 0);
}

} // namespace
