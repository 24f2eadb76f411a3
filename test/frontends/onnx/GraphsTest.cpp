// Functions, subgraphs, declared types and names.
#include "Text.h"
#include <gtest/gtest.h>

using namespace llmc::test;

//===- Functions ------------------------------------------------------------===//
TEST(OnnxFunctions, AreInlined) {
  std::string text = importText(R"(
    g (float[N, 4] x) => (float y) { t = local.twice (x) y = local.twice (t) }
    <domain: "local", opset_import: ["": 18, "local": 1]> twice (a) => (b) { c = local.id (a) b = Add (c, c) }
    <domain: "local", opset_import: ["": 18]> id (a) => (b) { b = Identity (a) })");
  EXPECT_HAS(text, R"(%0 = llm.onnx_node "Identity" domain "" opset 18(%arg0))");
  EXPECT_HAS(text, R"(%1 = llm.onnx_node "Add" domain "" opset 18(%0, %0))");
  EXPECT_HAS(text, R"(%3 = llm.onnx_node "Add" domain "" opset 18(%2, %2))");
  EXPECT_HAS(text, "-> tensor<?x4xf32>");
}

TEST(OnnxFunctions, HaveOpsetsOfTheirOwn) {
  std::string text = importText(R"(
    g (float[1, 4] x) => (float y) { y = local.f (x) }
    <domain: "local", opset_import: ["": 11]> f (a) => (b) { b = Squeeze <axes = [0]> (a) })");
  EXPECT_HAS(text, R"("Squeeze" domain "" opset 11)");
  text = importText(R"(
    g (float[1, 4] x) => (float y) { y = local.f (x) }
    <domain: "local", opset_import: ["": 99]> f (a) => (b) { b = Squeeze <axes = [0]> (a) })");
  EXPECT_HAS(text, "found a function of version 99 of ai.onnx, expected 1 to");
}

static const char *const kReference = R"(
    g (float[N, 4] x) => (float y) { y = local.f <slope = 0.25> (x) }
    <domain: "local", opset_import: ["": 18]> f <slope> (a) => (b) { b = LeakyRelu <alpha: float = @slope> (a) })";
TEST(OnnxFunctions, TakeAttributesOfTheCall) {
  EXPECT_HAS(importText(kReference), "{alpha = 2.500000e-01 : f32}");
  // Not given: as if the node had no such attribute.
  EXPECT_HAS(
      importText(kReference, 18, [](::onnx::ModelProto &m) { m.mutable_graph()->mutable_node(0)->clear_attribute(); }),
      R"("LeakyRelu" domain "" opset 18(%arg0) {} :)");
  EXPECT_HAS(importText(kReference, 18,
                        [](::onnx::ModelProto &m) {
                          m.mutable_graph()->mutable_node(0)->mutable_attribute(0)->set_name("other");
                        }),
             "attribute other: found one that the function does not have");
  EXPECT_HAS(importText("g (float[N] x) => (float y) { y = LeakyRelu <alpha: float = @slope> (x) }"),
             "found a reference, which has no meaning outside a function");
}

TEST(OnnxFunctions, PassReferencesOn) {
  EXPECT_HAS(importText(R"(
    g (float[N, 4] x) => (float y) { y = local.outer <s = 0.25> (x) }
    <domain: "local", opset_import: ["": 18, "local": 1]> outer <s> (a) => (b) { b = local.inner <t: float = @s> (a) }
    <domain: "local", opset_import: ["": 18]> inner <t> (a) => (b) { b = Elu <alpha: float = @t> (a) })"),
             "{alpha = 2.500000e-01 : f32}");
}

/// attribute_proto is newer than the schema that is compiled in: field 11 of FunctionProto.
TEST(OnnxFunctions, HaveDefaultAttributes) {
  EXPECT_HAS(importText(kReference, 18,
                        [](::onnx::ModelProto &m) {
                          m.mutable_graph()->mutable_node(0)->clear_attribute();
                          ::onnx::AttributeProto slope;
                          slope.set_name("slope"), slope.set_type(::onnx::AttributeProto::FLOAT), slope.set_f(0.5f);
                          auto &function = *m.mutable_functions(0);
                          function.clear_attribute();
                          function.GetReflection()->MutableUnknownFields(&function)->AddLengthDelimited(
                              11, slope.SerializeAsString());
                        }),
             "{alpha = 5.000000e-01 : f32}");
}

/// overload is newer too: field 8 of NodeProto, 13 of FunctionProto.
TEST(OnnxFunctions, AreChosenByOverload) {
  auto overload = [](auto &message, int field, const char *name) {
    message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(field, name);
  };
  EXPECT_HAS(importText(R"(
    g (float[N, 4] x) => (float y) { y = local.f (x) }
    <domain: "local", opset_import: ["": 18]> f (a) => (b) { b = Relu (a) }
    <domain: "local", opset_import: ["": 18]> f (a) => (b) { b = Sigmoid (a) })",
                        18,
                        [&](::onnx::ModelProto &m) {
                          overload(*m.mutable_functions(1), 13, "second");
                          overload(*m.mutable_graph()->mutable_node(0), 8, "second");
                        }),
             "\"Sigmoid\"");
}

TEST(OnnxFunctions, MayLackOptionalOperands) {
  std::string text = importText(R"(
    g (float[N] x, float z) => (float y) { y = local.f (x) }
    <domain: "local", opset_import: ["": 18]> f (a, low, high) => (b) { b = Clip (a, low, high) })",
                                18, [](::onnx::ModelProto &m) {
                                  auto &node = *m.mutable_graph()->mutable_node(0);
                                  node.add_input(""), node.add_input("z");
                                });
  EXPECT_HAS(text, "llm.onnx_none");
  EXPECT_HAS(text, ": (tensor<?xf32>, none, tensor<f32>)");
  EXPECT_HAS(importText(R"(
    g (float[N] x) => (float y) { y = local.f (x) }
    <domain: "local", opset_import: ["": 18]> f (a, c) => (b) { b = Add (a, c) })"),
             "found 1 operands, expected at least 2");
}

TEST(OnnxFunctions, NeitherCallThemselvesNorGrowWithoutBound) {
  EXPECT_HAS(importText(R"(
    g (float[N] x) => (float y) { y = local.f (x) }
    <domain: "local", opset_import: ["": 18, "local": 1]> f (a) => (b) { b = local.h (a) }
    <domain: "local", opset_import: ["": 18, "local": 1]> h (a) => (b) { b = local.f (a) })"),
             "(f): found a function that calls itself");
  std::string text = "g (float[N] x) => (float y) { y = local.f0 (x) }";
  for (int i = 0; i < 40; ++i) { // 2^40 nodes
    std::string next = i == 39 ? "Relu" : "local.f" + std::to_string(i + 1);
    text += "<domain: \"local\", opset_import: [\"\": 18, \"local\": 1]> f" + std::to_string(i) +
            " (a) => (b) { c = " + next + " (a) b = " + next + " (c) }";
  }
  EXPECT_HAS(importText(text), "more than 200000 nodes when functions are inlined");
}

//===- Subgraphs ------------------------------------------------------------===//
static std::string conditional(const char *condition, const char *nodes = "") {
  return std::string("g (bool c, float[N, 4] x) => (float y) <bool yes = {1}, bool no = {0}> { ") + nodes +
         " y = If (" + condition +
         ") <then_branch = t () => (float a) { a = Relu (x) }, "
         "else_branch = e () => (float b) <int64[2] s = {2, -1}> { b = Reshape (x, s) }> }";
}
TEST(OnnxIf, HasItsBranchesAsBodies) {
  std::string text = importText(conditional("c"));
  EXPECT_HAS(text, R"(llm.onnx_node "If" domain "" opset 18(%arg0) {} : (tensor<i1>) -> tensor<?x?xf32> {)");
  EXPECT_HAS(text, R"("Relu" domain "" opset 18(%arg1))");
  EXPECT_HAS(text, "llm.onnx_yield %3 : tensor<?x4xf32>");
  EXPECT_HAS(text, "}, {");
  EXPECT_HAS(text, "llm.onnx_yield %4 : tensor<2x?xf32>");
}
TEST(OnnxIf, IsFoldedWhenItsConditionIsKnown) {
  for (const char *condition : {"yes", "no"}) {
    std::string text = importText(conditional(condition));
    EXPECT_EQ(text.find("\"If\""), std::string::npos) << text;
    EXPECT_HAS(text, condition == std::string("yes") ? "\"Relu\"" : "\"Reshape\"");
  }
  // The number of columns is 4.
  std::string text = importText(
      conditional("d", "s = Shape <start = 1> (x) four = Constant <value_ints = [4]> () d = Equal (s, four)"));
  EXPECT_EQ(text.find("\"If\""), std::string::npos) << text;
  EXPECT_HAS(text, "\"Relu\"");
}
TEST(OnnxIf, NeedsBranchesOfOneElementType) {
  EXPECT_HAS(
      importText(
          "g (bool c, float[N, 4] x) => (float y) { y = If (c) <then_branch = t () => (float a) { a = Relu (x) }, "
          "else_branch = e () => (int64 b) { b = Shape (x) }> }"),
      "found output 0 of different element types in the branches");
}
TEST(OnnxIf, IsFoundInFunctions) {
  std::string text = importText(R"(
    g (bool c, float[N, 4] x) => (float y) { y = local.f <s = 0.25> (c, x) }
    <domain: "local", opset_import: ["": 18]> f <s> (k, a) => (b) {
      b = If (k) <then_branch = t () => (float p) { p = Elu <alpha: float = @s> (a) },
                  else_branch = e () => (float q) { q = Identity (a) }> })");
  EXPECT_HAS(text, R"("Elu" domain "" opset 18(%arg1) {alpha = 2.500000e-01 : f32})");
}

TEST(OnnxLoop, HasTypesForEveryIteration) {
  std::string text = importText(R"(
    g (int64 n, bool c, float[1, 4] x) => (float y, float z) {
      y, z = Loop (n, c, x) <body = b (int64 i, bool d, float v) => (bool e, float w, float r) {
        e = Identity (d) w = Concat <axis = 0> (v, x) r = Relu (v) }> })");
  EXPECT_HAS(text, R"(: (tensor<i64>, tensor<i1>, tensor<1x4xf32>) -> (tensor<?x4xf32>, tensor<?x?x4xf32>) {)");
  EXPECT_HAS(text, "(%arg3: tensor<i64>, %arg4: tensor<i1>, %arg5: tensor<?x4xf32>):");
  EXPECT_HAS(text, "llm.onnx_yield %1, %2, %3 : tensor<i1>, tensor<?x4xf32>, tensor<?x4xf32>");
}
TEST(OnnxLoop, RefusesBodiesThatDoNotFit) {
  EXPECT_HAS(importText(R"(
    g (int64 n, bool c, float[1, 4] x) => (float y) {
      y = Loop (n, c, x) <body = b (int64 i, bool d) => (bool e, float w) { e = Identity (d) w = Relu (x) }> })"),
             "found a body with 2 inputs, expected 3");
  EXPECT_HAS(importText(R"(
    g (int64 n, bool c, float[1, 4] x) => (float y) {
      y = Loop (n, c, x) <body = b (int64 i, bool d, float v) => (bool e, int64 w) { e = Identity (d) w = Shape (v) }> })"),
             "found state 0 with another element type after an iteration than before");
}

TEST(OnnxScan, TakesSlicesAndStacksThem) {
  std::string text = importText(R"(
    g (float[4] s, float[7, 4] x) => (float y, float z) {
      y, z = Scan (s, x) <num_scan_inputs = 1, scan_output_axes = [1], body = b (float a, float v) => (float w, float r) {
        w = Add (a, v) r = Relu (w) }> })");
  EXPECT_HAS(text, "-> (tensor<4xf32>, tensor<4x7xf32>) {");
  EXPECT_HAS(text, "(%arg2: tensor<4xf32>, %arg3: tensor<4xf32>):");
  EXPECT_HAS(importText(R"(
    g (float[7, 4] x) => (float z) {
      z = Scan (x) <num_scan_inputs = 1, scan_input_axes = [5], body = b (float v) => (float r) { r = Relu (v) }> })"),
             "scan_input_axes: found 5, expected one of a tensor of rank 2");
}

TEST(OnnxSubgraphs, AreNotNestedWithoutBound) {
  std::string open, close;
  for (int i = 0; i < 40; ++i) {
    open += "y" + std::to_string(i) +
            " = If (c) <else_branch = e () => (float q) { q = Relu (x) }, then_branch = t () => (float y" +
            std::to_string(i + 1) + ") { ";
    close += " }> ";
  }
  EXPECT_HAS(importText("g (bool c, float[N] x) => (float y0) { " + open + "y40 = Relu (x)" + close + "}"),
             "nested subgraphs");
}

//===- Declared types -------------------------------------------------------===//
TEST(OnnxDeclared, GiveRanksThatOperatorsDoNot) {
  auto declare = [](int rank, int element) {
    return [=](::onnx::ModelProto &m) {
      auto &info = *m.mutable_graph()->add_value_info();
      info.set_name("z");
      auto &type = *info.mutable_type()->mutable_tensor_type();
      type.set_elem_type(element);
      for (int i = 0; i < rank; ++i) type.mutable_shape()->add_dim()->set_dim_value(4);
    };
  };
  const char *unknown = "g (float[N] x, int64[M] s) => (float y) { z = Reshape (x, s) y = Relu (z) }";
  std::string text = importText(unknown, 18, declare(3, 1));
  EXPECT_HAS(
      text,
      R"("Reshape" domain "" opset 18(%arg0, %arg1) {} {declared} : (tensor<?xf32>, tensor<?xi64>) -> tensor<?x?x?xf32>)");
  // What the operator says wins.
  text = importText("g (float[N] x) => (float y) { z = Relu (x) y = Relu (z) }", 18, declare(3, 1));
  EXPECT_HAS(text, "%0 = llm.onnx_node \"Relu\" domain \"\" opset 18(%arg0) {} : (tensor<?xf32>) -> tensor<?xf32>");
  EXPECT_EQ(text.find("declared"), std::string::npos) << text;
  EXPECT_HAS(importText(unknown, 18, declare(3, 7)), "z: found tensor<*xf32>, expected INT64 elements");
}
