// The table of operators: its own form, types of results, and what is refused.
#include "Text.h"
#include "frontends/onnx/Check.h"
#include <gtest/gtest.h>

using namespace llmc;
using namespace llmc::test;

/// Letters, kinds and order of the rows: what a wrong row would silently mean something else by.
TEST(OnnxOperators, RowsAreWellFormed) {
  unsigned count = 0;
  for (llvm::ArrayRef<llmc::onnx::Operator> table :
       {llmc::onnx::mathOperators(), llmc::onnx::shapeOperators(), llmc::onnx::layerOperators(),
        llmc::onnx::microsoftOperators(), llmc::onnx::trainingOperators()}) {
    for (auto [i, op] : llvm::enumerate(table)) {
      ++count;
      llvm::StringRef signature = op.signature;
      EXPECT_EQ(signature.count('>'), 1u) << op.name;
      EXPECT_EQ(signature.find_first_not_of("abcnmkfghijlxyBLWFU_.?*>"), llvm::StringRef::npos) << op.name;
      EXPECT_FALSE(signature.split('>').second.empty()) << op.name;
      for (llvm::StringRef rest = op.attributes; !rest.empty();) {
        auto [entry, tail] = rest.split(' ');
        auto [key, kind] = entry.split(':');
        rest = tail;
        EXPECT_NE(llvm::StringRef("ifstIFSg").find(kind.front()), llvm::StringRef::npos) << op.name << " " << key.str();
        EXPECT_TRUE(kind.drop_front().empty() || kind.drop_front() == "!") << op.name << " " << key.str();
      }
      if (i == 0) continue;
      llvm::StringRef before = table[i - 1].name;
      EXPECT_TRUE(before < op.name || (before == op.name && table[i - 1].since < op.since)) << op.name;
    }
  }
  EXPECT_GT(count, 280u); // none of the tables is missing
}

struct Row {
  const char *name;
  int opset;
  const char *text, *expect;
};
static void PrintTo(const Row &row, std::ostream *out) { *out << row.name; }
class OnnxTypes : public testing::TestWithParam<Row> {};

TEST_P(OnnxTypes, AreAsTheOperatorSays) {
  EXPECT_HAS(importText(GetParam().text, GetParam().opset), GetParam().expect);
}

#define X "g (float[N, 4, 8] x) => (float y) "
static const Row kTypes[] = {
    // The same in both spellings.
    {"squeeze_attribute", 11, "g (float[1, N, 4] x) => (float y) { y = Squeeze <axes = [0]> (x) }",
     "-> tensor<?x4xf32>"},
    {"squeeze_operand", 13, "g (float[1, N, 4] x) => (float y) <int64[1] a = {0}> { y = Squeeze (x, a) }",
     "-> tensor<?x4xf32>"},
    {"unsqueeze_attribute", 11, X "{ y = Unsqueeze <axes = [0, -1]> (x) }", "-> tensor<1x?x4x8x1xf32>"},
    {"unsqueeze_operand", 13, X "<int64[2] a = {0, -1}> { y = Unsqueeze (x, a) }", "-> tensor<1x?x4x8x1xf32>"},
    {"sum_attribute", 11, X "{ y = ReduceSum <axes = [1], keepdims = 0> (x) }", "-> tensor<?x8xf32>"},
    {"sum_operand", 13, X "<int64[1] a = {1}> { y = ReduceSum <keepdims = 0> (x, a) }", "-> tensor<?x8xf32>"},
    {"mean_attribute", 17, X "{ y = ReduceMean <axes = [-1]> (x) }", "-> tensor<?x4x1xf32>"},
    {"mean_operand", 18, X "<int64[1] a = {-1}> { y = ReduceMean (x, a) }", "-> tensor<?x4x1xf32>"},
    {"mean_all", 18, X "{ y = ReduceMean <keepdims = 0> (x) }", "-> tensor<f32>"},
    {"mean_noop", 18, X "{ y = ReduceMean <noop_with_empty_axes = 1> (x) }", "-> tensor<?x4x8xf32>"},
    {"slice_attribute", 9, X "{ y = Slice <axes = [2], starts = [2], ends = [100]> (x) }", "-> tensor<?x4x6xf32>"},
    {"slice_operand", 10,
     X "<int64[1] s = {-3}, int64[1] e = {9223372036854775807}, int64[1] a = {-1}> { y = Slice (x, s, e, a) }",
     "-> tensor<?x4x3xf32>"},
    {"slice_back", 10,
     X "<int64[1] s = {-1}, int64[1] e = {-9223372036854775807}, int64[1] a = {2}, int64[1] t = {-2}> { y = Slice (x, "
       "s, e, a, t) }",
     "-> tensor<?x4x4xf32>"},
    {"slice_all", 10, X "<int64[1] s = {0}, int64[1] e = {2147483647}, int64[1] a = {0}> { y = Slice (x, s, e, a) }",
     "-> tensor<?x4x8xf32>"},
    {"pad_attribute", 7, X "{ y = Pad <pads = [0, 1, 0, 0, 0, 3]> (x) }", "-> tensor<?x5x11xf32>"},
    {"pad_operand", 11, X "<int64[6] p = {0, 1, 0, 0, 0, 3}> { y = Pad (x, p) }", "-> tensor<?x5x11xf32>"},
    {"top_attribute", 9, "g (float[N, 8] x) => (float y, int64 i) { y, i = TopK <k = 3> (x) }",
     "-> (tensor<?x3xf32>, tensor<?x3xi64>)"},
    {"top_operand", 11, "g (float[N, 8] x) => (float y, int64 i) <int64[1] k = {3}> { y, i = TopK <axis = 1> (x, k) }",
     "-> (tensor<?x3xf32>, tensor<?x3xi64>)"},
    {"clip_attribute", 7, X "{ y = Clip <min = 0.0, max = 6.0> (x) }", "-> tensor<?x4x8xf32>"},
    {"clip_operand", 11, X "<float m = {1}> { y = Clip (x, m) }", "-> tensor<?x4x8xf32>"},
    {"split_attribute", 11, X "{ y, z = Split <axis = 2, split = [2, 6]> (x) }",
     "-> (tensor<?x4x2xf32>, tensor<?x4x6xf32>)"},
    {"split_operand", 13, X "<int64[2] s = {2, 6}> { y, z = Split <axis = 2> (x, s) }",
     "-> (tensor<?x4x2xf32>, tensor<?x4x6xf32>)"},
    {"split_number", 18, X "{ y, z, w = Split <axis = 2, num_outputs = 3> (x) }",
     "-> (tensor<?x4x3xf32>, tensor<?x4x3xf32>, tensor<?x4x2xf32>)"},
    {"dropout_mask_9", 9, X "{ y, m = Dropout <ratio = 0.5> (x) }", "-> (tensor<?x4x8xf32>, tensor<?x4x8xf32>)"},
    {"dropout_mask_12", 12, X "<float r = {0.5}> { y, m = Dropout (x, r) }",
     "-> (tensor<?x4x8xf32>, tensor<?x4x8xi1>)"},
    {"upsample", 9, "g (float[1, 3, 4, 4] x, float[4] s) => (float y) { y = Upsample (x, s) }",
     "-> tensor<?x?x?x?xf32>"},
    {"softmax_11", 11, X "{ y = Softmax <axis = 3> (x) }", "-> tensor<?x4x8xf32>"},
    // Exact shapes.
    {"matmul", 18, "g (float[N, 1, 4, 8] a, float[3, 8, 5] b) => (float y) { y = MatMul (a, b) }",
     "-> tensor<?x3x4x5xf32>"},
    {"matmul_row", 18, "g (float[8] a, float[3, 8, 5] b) => (float y) { y = MatMul (a, b) }", "-> tensor<3x5xf32>"},
    {"matmul_dot", 18, "g (float[8] a, float[8] b) => (float y) { y = MatMul (a, b) }", "-> tensor<f32>"},
    {"gemm", 18,
     "g (float[8, N] a, float[5, 8] b, float[5] c) => (float y) { y = Gemm <transA = 1, transB = 1> (a, b, c) }",
     "-> tensor<?x5xf32>"},
    {"where", 18, "g (bool[1, 7] c, float[N, 1] a, float b) => (float y) { y = Where (c, a, b) }",
     "-> tensor<?x7xf32>"},
    {"range", 18, "g (float[1] x) => (int64 y) <int64 a = {2}, int64 b = {9}, int64 d = {3}> { y = Range (a, b, d) }",
     "-> tensor<3xi64>"},
    {"one_hot", 18, "g (int64[N] x, float[2] v) => (float y) <int64 d = {7}> { y = OneHot <axis = 0> (x, d, v) }",
     "-> tensor<7x?xf32>"},
    {"einsum", 18,
     "g (float[N, 4, 8] a, float[N, 8, 5] b) => (float y) { y = Einsum <equation = \"bij, bjk -> bik\"> (a, b) }",
     "-> tensor<?x4x5xf32>"},
    {"einsum_implicit", 18,
     "g (float[N, 4, 8] a, float[8, 5] b) => (float y) { y = Einsum <equation = \"...j,jk\"> (a, b) }",
     "-> tensor<?x4x5xf32>"},
    {"einsum_trace", 18, "g (float[4, 4] a) => (float y) { y = Einsum <equation = \"ii->\"> (a) }", "-> tensor<f32>"},
    {"gather", 18, "g (float[10, 8] x, int64[B, S] i) => (float y) { y = Gather (x, i) }", "-> tensor<?x?x8xf32>"},
    {"gather_nd", 18, "g (float[2, 3, 8] x, int64[N, 2] i) => (float y) { y = GatherND (x, i) }", "-> tensor<?x8xf32>"},
    {"scatter_nd", 18, "g (float[2, 3] x, int64[N, 1] i, float[N, 3] u) => (float y) { y = ScatterND (x, i, u) }",
     "-> tensor<2x3xf32>"},
    {"concat", 18, "g (float[N, 4] a, float[M, 4] b) => (float y) { y = Concat <axis = -1> (a, b) }",
     "-> tensor<?x8xf32>"},
    {"transpose", 18, X "{ y = Transpose <perm = [2, 0, 1]> (x) }", "-> tensor<8x?x4xf32>"},
    {"flatten", 18, X "{ y = Flatten <axis = 1> (x) }", "-> tensor<?x32xf32>"},
    {"tile", 18, X "<int64[3] r = {1, 2, 3}> { y = Tile (x, r) }", "-> tensor<?x8x24xf32>"},
    {"layer_norm", 18, X "<float[8] w = {1,1,1,1,1,1,1,1}> { y, m, d = LayerNormalization (x, w) }",
     "-> (tensor<?x4x8xf32>, tensor<?x4x1xf32>, tensor<?x4x1xf32>)"},
    {"rms_norm", 23, X "<float[8] w = {1,1,1,1,1,1,1,1}> { y = RMSNormalization (x, w) }", "-> tensor<?x4x8xf32>"},
    {"rotary", 23,
     "g (float[B, 4, S, 16] x, float[99, 8] c, float[99, 8] s, int64[B, S] p) => (float y) { y = RotaryEmbedding (x, "
     "c, s, p) }",
     "-> tensor<?x4x?x16xf32>"},
    {"attention_4d", 23,
     "g (float[B, 8, S, 16] q, float[B, 2, T, 16] k, float[B, 2, T, 32] v) => (float y) { y = Attention (q, k, v) }",
     "-> tensor<?x8x?x32xf32>"},
    {"attention_3d", 24,
     "g (float[B, S, 64] q, float[B, T, 32] k, float[B, T, 32] v, bool[S, U] m, float[B, 2, 7, 16] pk, float[B, 2, 7, "
     "16] pv) => (float y, float z, float w) { y, z, w = Attention <q_num_heads = 4, kv_num_heads = 2> (q, k, v, m, "
     "pk, pv) }",
     "-> (tensor<?x?x64xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>)"},
    {"conv", 18,
     "g (float[1, 3, 32, 32] x, float[8, 3, 3, 3] w) => (float y) { y = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> "
     "(x, w) }",
     "-> tensor<1x8x16x16xf32>"},
    {"conv_transpose", 18,
     "g (float[1, 3, 4] x, float[3, 2, 3] w) => (float y) { y = ConvTranspose <strides = [2]> (x, w) }",
     "-> tensor<1x2x9xf32>"},
    {"pool", 18,
     "g (float[1, 3, 7] x) => (float y) { y = MaxPool <kernel_shape = [2], strides = [2], ceil_mode = 1> (x) }",
     "-> tensor<1x3x4xf32>"},
    {"lstm", 18,
     "g (float[S, B, 4] x, float[1, 32, 4] w, float[1, 32, 8] r) => (float y, float h) { y, h = LSTM <hidden_size = 8> "
     "(x, w, r) }",
     "-> (tensor<?x1x?x8xf32>, tensor<1x?x8xf32>)"},
    {"quantize", 21,
     "g (float[N, 4, 8] x) => (int8 y) <float s = {0.5}> { y = QuantizeLinear <output_dtype = 3> (x, s) }",
     "-> tensor<?x4x8xsi8>"},
    {"cast", 18, X "{ z = Cast <to = 10> (x) y = CastLike (z, x) }", "-> tensor<?x4x8xf16>"},
    {"shape_part", 18, "g (float[N, 4, 8] x) => (int64 y) { y = Shape <start = -2> (x) }", "-> tensor<2xi64>"},
    // Ranks and sizes through shape arithmetic.
    {"reshape_computed", 18,
     X "<int64[2] t = {2, 16}, int64 zero = {0}, int64[1] a = {0}> { s = Shape (x) n = Gather (s, zero) m = Unsqueeze "
       "(n, a) c = Concat <axis = 0> (m, t) y = Reshape (x, c) }",
     "-> tensor<?x2x16xf32>"},
    {"expand_where", 18,
     "g (float[N, 4, 1, 8] x) => (float y) <int64[4] s = {-1, -1, 3, -1}, int64[4] one = {1, 1, 1, 1}, int64[4] m = "
     "{-1, -1, -1, -1}> { e = Equal (s, m) w = Where (e, one, s) y = Expand (x, w) }",
     "-> tensor<?x4x3x8xf32>"},
    {"constant_of_shape", 18,
     X "<int64[1] two = {2}, int64[1] a = {1}, int64[1] b = {3}> { s = Shape (x) t = Slice (s, a, b) u = Mul (t, two) "
       "y = ConstantOfShape (u) }",
     "-> tensor<8x16xf32>"},
    {"half_slice", 18,
     X "<int64 two = {2}, int64[1] zero = {0}, int64 last = {2}, int64[1] a = {2}> { s = Shape (x) d = Gather (s, "
       "last) h = Div (d, two) e = Unsqueeze (h, zero) y = Slice (x, zero, e, a) }",
     "-> tensor<?x4x4xf32>"},
    // ai.onnx.preview.training
    {"adam", 18,
     "g (float r, int64 t, float[2] x, float[N] z, float[2] gx, float[N] gz, float[2] v, float[N] w, float[2] h, "
     "float[N] k) => (float y) { y, yz, yv, yw, yh, yk = ai.onnx.preview.training.Adam (r, t, x, z, gx, gz, v, w, h, "
     "k) }",
     "-> (tensor<2xf32>, tensor<?xf32>, tensor<2xf32>, tensor<?xf32>, tensor<2xf32>, tensor<?xf32>)"},
    // com.microsoft
    {"fused_matmul", 18,
     "g (float[N, 4, 8] a, float[N, 5, 8] b) => (float y) { y = com.microsoft.FusedMatMul <transB = 1> (a, b) }",
     "-> tensor<?x4x5xf32>"},
    {"multi_head", 18,
     "g (float[B, S, 32] q, float[B, T, 32] k, float[B, T, 64] v) => (float y) { y = com.microsoft.MultiHeadAttention "
     "<num_heads = 4> (q, k, v) }",
     "-> tensor<?x?x64xf32>"},
    {"ms_attention", 18,
     "g (float[B, S, 32] x, float[32, 96] w, float[96] b) => (float y, float p) { y, p = com.microsoft.Attention "
     "<num_heads = 4> (x, w, b) }",
     "-> (tensor<?x?x32xf32>, tensor<2x?x4x?x8xf32>)"},
};
INSTANTIATE_TEST_SUITE_P(All, OnnxTypes, testing::ValuesIn(kTypes), [](const auto &info) { return info.param.name; });

class OnnxRefusals : public testing::TestWithParam<Row> {};
TEST_P(OnnxRefusals, NameTheNodeAndTheReason) {
  std::string text = importText(GetParam().text, GetParam().opset);
  EXPECT_HAS(text, "error: model.onnx: ");
  EXPECT_HAS(text, GetParam().expect);
}
static const Row kRefusals[] = {
    {"sequence", 18, X "{ s = SequenceConstruct (x) y = Identity (x) }",
     "(SequenceConstruct): sequences are not supported"},
    {"optional", 18, X "{ s = Optional (x) y = Identity (x) }", "(Optional): optional values are not supported"},
    {"string", 20, X "{ s = StringConcat (x, x) y = Identity (x) }", "(StringConcat): strings are not supported"},
    {"string_input", 18, "g (string[N] x) => (float y) { y = Identity (x) }",
     "x: found elements of STRING, expected a type of numbers"},
    {"complex_input", 18, "g (complex64[N] x) => (float y) { y = Identity (x) }", "x: found elements of COMPLEX64"},
    {"domain", 18, X "{ y = ai.onnx.ml.Normalizer (x) }",
     "found an operator of an unknown domain (domain 'ai.onnx.ml')"},
    {"newer", 13, X "{ y = Trilu (x) }",
     "found version 13 of domain 'ai.onnx', expected at least 14 for this operator"},
    {"older_form", 13, X "{ y = Squeeze <axes = [0]> (x) }",
     "attribute axes: found one that is not known of this operator"},
    {"newer_form", 12, X "<int64[1] a = {0}> { y = Squeeze (x, a) }", "found 2 operands, expected at most 1"},
    {"few_operands", 18, X "{ y = Add (x) }", "found 1 operands, expected at least 2"},
    {"element", 18, "g (int64[N] x) => (int64 y) { y = Sqrt (x) }",
     "operand 'x' has elements of type i64, expected a float type"},
    {"elements", 18, "g (int64[N] x, float[N] z) => (int64 y) { y = Add (x, z) }",
     "operands 'x' and 'z' differ in element type: found i64 and f32"},
    {"fixed_element", 18, X "<int32[1] a = {0}> { y = Expand (x, a) }",
     "operand 'a' has elements of type i32, expected i64"},
    {"broadcast", 18, "g (float[3] x, float[4] z) => (float y) { y = Add (x, z) }",
     "operand 'z' does not fit the others: found sizes of 4 and 3"},
    {"matmul", 18, "g (float[3, 4] x, float[3, 4] z) => (float y) { y = MatMul (x, z) }",
     "operand 'x' has rows of 4, 'z' has K = 3"},
    {"axis", 18, X "{ y = Softmax <axis = 3> (x) }", "attribute axis: found 3, expected one of a tensor of rank 3"},
    {"einsum", 18, X "{ y = Einsum <equation = \"ij->i\"> (x) }", "operand 'x' has rank 3, the equation names 2 axes"},
    {"result_axis", 18, "g (float[N, 4] x) => (float y) { y = Einsum <equation = \"ij->ik\"> (x) }",
     "found 'k' in the result only"},
    {"index", 18, "g (float[4] x) => (float y) <int64 i = {4}> { y = Gather (x, i) }",
     "has the index 4, expected one of 4"},
    {"results", 18, X "{ y, z = Relu (x) }", "found 2 results, expected 1 to 1"},
    {"name", 18, X "{ y = Relu (z) }",
     "found 'z', which is no input or initializer and is not made by an earlier node"},
    {"layer_norm", 18, X "<float[2] w = {1, 1}> { y = LayerNormalization (x, w) }",
     "operand 'w' has type tensor<2xf32>, expected one that broadcasts to tensor<?x4x8xf32>"},
    {"opset_6", 6, X "{ y = Add (x, x) }",
     "found version 6 of domain 'ai.onnx', expected at least 7 for this operator"},
    {"opset_0", 0, X "{ y = Relu (x) }", "opset_import: found version 0 of domain 'ai.onnx', expected 1 to 28"},
    {"dims", 18,
     "g (float[1099511627776, 8] x) => (float y) { z = Concat <axis = 1> (x, x) y = Concat <axis = 0> (z, z, z, z, z, "
     "z, z, z) }",
     "a result has more than 2^42 elements"},
};
INSTANTIATE_TEST_SUITE_P(All, OnnxRefusals, testing::ValuesIn(kRefusals),
                         [](const auto &info) { return info.param.name; });

TEST(OnnxRefusals, NameSequencesMapsAndOptionals) {
  auto typed = [](auto change) {
    return importText("g (float[N] x) => (float y) { y = Identity (x) }", 18, [&](::onnx::ModelProto &model) {
      auto &type = *model.mutable_graph()->mutable_input(0)->mutable_type();
      type.Clear();
      change(type);
    });
  };
  using Type = ::onnx::TypeProto;
  EXPECT_HAS(typed([](Type &t) { t.mutable_sequence_type(); }),
             "x: found a sequence, expected a tensor type; sequences are not supported");
  EXPECT_HAS(typed([](Type &t) { t.mutable_map_type(); }), "maps are not supported");
  EXPECT_HAS(typed([](Type &t) { t.mutable_optional_type(); }), "optional values are not supported");
  EXPECT_HAS(typed([](Type &t) { t.mutable_sparse_tensor_type(); }), "x: found a type that is not a tensor");
}
