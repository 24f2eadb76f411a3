// One element of what nodes make, as an expression; and what is not understood stands for itself.
#include "passes/raise/Elements.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using namespace llmc;
using namespace llmc::raise;

namespace {

/// A graph of `nodes` with x [batch, tokens, 8], keys [batch, 2, past, 4], attention_mask and position_ids.
class ElementsTest : public testing::Test {
protected:
  /// The elements of what the graph returns.
  Elements &of(const std::string &nodes, const std::string &result, const std::string &type) {
    std::string text =
        "func.func @step(%x: tensor<?x?x8xf32> {llm.name = \"inputs_embeds\"}, %mask: tensor<?x?xi64> {llm.name = "
        "\"attention_mask\"}, %positions: tensor<?x?xi64> {llm.name = \"position_ids\"}, %past: tensor<?x2x?x4xf32> "
        "{llm.name = \"past_key_values.0.key\"}) -> " +
        type + " {\n" + nodes + "\n return " + result + " : " + type + "\n}";
    context.loadDialect<mlir::func::FuncDialect, llm::LlmDialect, wq::WqDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(bool(module)) << text;
    auto step = module->lookupSymbol<mlir::func::FuncOp>("step");
    x = step.getArgument(0), past = step.getArgument(3);
    value = step.getBody().front().getTerminator()->getOperand(0);
    elements = std::make_unique<Elements>(hasCache(step));
    return *elements;
  }
  static std::string node(const char *result, const char *op, const char *operands, const char *attributes,
                          const char *types) {
    return std::string("%") + result + " = llm.onnx_node \"" + op + "\" domain \"\" opset 20(" + operands + ") {" +
           attributes + "} : " + types + "\n";
  }
  static std::string constant(const char *name, const char *value, const char *type) {
    return std::string("%") + name + " = llm.onnx_constant dense<" + value + "> : " + type + " -> " + type + "\n";
  }
  ScalarPool &pool() { return elements->pool(); }
  Scalar integer(int64_t value) { return pool().integer(value); }
  Scalar token() { return i ? i : i = pool().index(elements->newTokens()); }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::unique_ptr<Elements> elements;
  mlir::Value x, past, value;
  Scalar i = nullptr;
};

TEST_F(ElementsTest, HeadsOfRows) {
  Elements &e =
      of(constant("s", "[0, 0, 2, 4]", "tensor<4xi64>") +
             node("r", "Reshape", "%x, %s", "", "(tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>") +
             node("t", "Transpose", "%r", "perm = array<i64: 0, 2, 1, 3>", "(tensor<?x?x2x4xf32>) -> tensor<*xf32>"),
         "%t", "tensor<*xf32>");
  Scalar h = pool().index(integer(2)), d = pool().index(integer(4));
  EXPECT_EQ(e.at(value, {integer(0), h, token(), d}),
            e.at(x, {integer(0), token(), pool().add(pool().multiply(h, integer(4)), d)}));
  ASSERT_TRUE(e.shape(value).has_value());
  EXPECT_EQ((*e.shape(value))[2], e.newTokens());
}

TEST_F(ElementsTest, ConcatIsOfTheCacheThenOfNewOnes) {
  Elements &e = of(constant("s", "[0, 0, 2, 4]", "tensor<4xi64>") +
                       node("r", "Reshape", "%x, %s", "", "(tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>") +
                       node("t", "Transpose", "%r", "perm = array<i64: 0, 2, 1, 3>",
                            "(tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>") +
                       node("c", "Concat", "%past, %t", "axis = -2 : i64",
                            "(tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>"),
                   "%c", "tensor<?x2x?x4xf32>");
  Scalar old = pool().index(e.pastTokens()), any = pool().index(pool().add(e.pastTokens(), e.newTokens()));
  Scalar zero = integer(0);
  EXPECT_EQ(e.at(value, {zero, zero, old, zero}), e.at(past, {zero, zero, old, zero}));
  EXPECT_EQ(e.at(value, {zero, integer(1), pool().add(e.pastTokens(), token()), zero}),
            e.at(x, {zero, token(), integer(4)}));
  // Which part a position falls in is not known: the element stands for itself.
  EXPECT_EQ(e.at(value, {zero, zero, any, zero}), pool().element(value, {zero, zero, any, zero}));
}

TEST_F(ElementsTest, MaskAndPositions) {
  Elements &e =
      of(constant("axis", "1", "tensor<i64>") + constant("one", "1", "tensor<i64>") +
             node("sum", "CumSum", "%mask, %axis", "", "(tensor<?x?xi64>, tensor<i64>) -> tensor<?x?xi64>") +
             node("p", "Sub", "%sum, %one", "", "(tensor<?x?xi64>, tensor<i64>) -> tensor<?x?xi64>") +
             node("same", "Equal", "%positions, %p", "", "(tensor<?x?xi64>, tensor<?x?xi64>) -> tensor<?x?xi1>"),
         "%same", "tensor<?x?xi1>");
  Scalar j = pool().index(pool().add(e.pastTokens(), e.newTokens()));
  mlir::Value counted = value.getDefiningOp()->getOperand(1), given = value.getDefiningOp()->getOperand(0);
  EXPECT_EQ(e.at(counted, {integer(0), j}), j);
  EXPECT_EQ(e.at(given, {integer(0), token()}), pool().add(e.pastTokens(), token()));
}

TEST_F(ElementsTest, GatherFromTheBackNeedsACertainSign) {
  std::string vector = constant("v", "[5, 6, 7]", "tensor<3xi64>") + constant("last", "-1", "tensor<i64>");
  Elements &e =
      of(vector + node("g", "Gather", "%v, %last", "axis = 0 : i64", "(tensor<3xi64>, tensor<i64>) -> tensor<i64>"),
         "%g", "tensor<i64>");
  EXPECT_EQ(e.at(value, {}), integer(7));
  Elements &other =
      of(constant("off", "2", "tensor<i64>") +
             node("back", "Sub", "%positions, %off", "", "(tensor<?x?xi64>, tensor<i64>) -> tensor<?x?xi64>") +
             constant("t", "[1, 2, 3]", "tensor<3xi64>") +
             node("g", "Gather", "%t, %back", "axis = 0 : i64", "(tensor<3xi64>, tensor<?x?xi64>) -> tensor<?x?xi64>"),
         "%g", "tensor<?x?xi64>");
  i = nullptr;
  Scalars at = {integer(0), token()};
  EXPECT_EQ(other.at(value, at), pool().element(value, at));
}

TEST_F(ElementsTest, SliceBounds) {
  auto slice = [&](const char *start, const char *end, const char *step) -> Elements & {
    return of(constant("start", start, "tensor<1xi64>") + constant("end", end, "tensor<1xi64>") +
                  constant("axes", "2", "tensor<1xi64>") + constant("step", step, "tensor<1xi64>") +
                  node("s", "Slice", "%x, %start, %end, %axes, %step", "",
                       "(tensor<?x?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> "
                       "tensor<*xf32>"),
              "%s", "tensor<*xf32>");
  };
  struct Case {
    const char *start, *end, *step;
    int64_t length, third; // which channel element 2 is
  };
  for (Case c : {Case{"4", "9223372036854775807", "1", 4, 6}, Case{"-6", "-1", "1", 5, 4}, Case{"1", "8", "2", 4, 5},
                 Case{"0", "100", "1", 8, 2}}) {
    Elements &e = slice(c.start, c.end, c.step);
    i = nullptr;
    ASSERT_TRUE(e.shape(value).has_value()) << c.start;
    EXPECT_EQ(e.shape(value)->back(), integer(c.length)) << c.start;
    EXPECT_EQ(e.at(value, {integer(0), token(), integer(2)}), e.at(x, {integer(0), token(), integer(c.third)}));
  }
  Elements &back = slice("7", "0", "-1"); // not needed by anything
  EXPECT_FALSE(back.shape(value).has_value());
}

TEST_F(ElementsTest, NormsAreEqualHoweverTheyAreWritten) {
  Elements &e =
      of(constant("two", "2.0", "tensor<f32>") + constant("eps", "1.0e-5", "tensor<f32>") +
             constant("axes", "-1", "tensor<1xi64>") + constant("one", "1.0", "tensor<f32>") +
             "%w = llm.onnx_tensor \"w\" <0, 0, 32> : tensor<8xf32>\n" +
             node("p", "Pow", "%x, %two", "", "(tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32>") +
             node("m", "ReduceMean", "%p, %axes", "", "(tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>") +
             node("a", "Add", "%m, %eps", "", "(tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>") +
             node("r", "Sqrt", "%a", "", "(tensor<?x?x1xf32>) -> tensor<?x?x1xf32>") +
             node("d", "Div", "%x, %r", "", "(tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>") +
             node("y", "Mul", "%w, %d", "", "(tensor<8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>") +
             node("z", "RMSNormalization", "%x, %w", "epsilon = 1.0e-5 : f32",
                  "(tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>") +
             node("s", "Sub", "%y, %z", "", "(tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>"),
         "%s", "tensor<?x?x8xf32>");
  Scalars at = {integer(0), token(), pool().index(integer(8))};
  Scalar written = e.at(value.getDefiningOp()->getOperand(0), at);
  EXPECT_NE(written, pool().element(value.getDefiningOp()->getOperand(0), at));
  EXPECT_EQ(written, e.at(value.getDefiningOp()->getOperand(1), at));
}

TEST_F(ElementsTest, UnknownNodesStandForThemselves) {
  Elements &e =
      of(node("y", "Softplus", "%x", "", "(tensor<?x?x8xf32>) -> tensor<?x?x8xf32>"), "%y", "tensor<?x?x8xf32>");
  Scalars at = {integer(0), token(), integer(3)};
  EXPECT_EQ(e.at(value, at), pool().element(value, at));
}

} // namespace
