// RUN: llmc-opt %s --llmc-raise-rope --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s

// Heads are as wide as what rotates when num_heads is 0 (the DirectML form); the tables bound the context.
// CHECK: module attributes {llm.max_context = 64 : i64}
// CHECK-LABEL: func @step
// CHECK-SAME:    %{{[a-z0-9]*}}: tensor<?xi32>, %[[POSITIONS:[a-z0-9]*]]: tensor<?xi32>
// CHECK:         llm.rope %{{.*}}, %[[POSITIONS]] {heads = 8 : i64, rope = #llm.rope<4, half, [1.000000e+00, 0.00999999977]>} : tensor<?x32xf32>
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %x: tensor<?x?x32xf16>) -> tensor<?x?x32xf16> {
  %ids = builtin.unrealized_conversion_cast %positions : tensor<?xi32> to tensor<?x?xi64>
  %c = llm.onnx_tensor "cos_cache" <1, 0, 256> {is_cos, rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf16>
  %s = llm.onnx_tensor "sin_cache" <1, 256, 256> {rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf16>
  %y = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %ids, %c, %s) {interleaved = 0 : i64, num_heads = 0 : i64, rotary_embedding_dim = 0 : i64} : (tensor<?x?x32xf16>, tensor<?x?xi64>, tensor<64x2xf16>, tensor<64x2xf16>) -> tensor<?x?x32xf16>
  return %y : tensor<?x?x32xf16>
}

// -----

// CHECK: llm.rope %{{.*}} {heads = 4 : i64, rope = #llm.rope<4, interleaved,
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %x: tensor<?x?x32xf32>) -> tensor<?x?x32xf32> {
  %ids = builtin.unrealized_conversion_cast %positions : tensor<?xi32> to tensor<?x?xi64>
  %c = llm.onnx_tensor "cos_cache" <1, 0, 512> {is_cos, rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf32>
  %s = llm.onnx_tensor "sin_cache" <1, 512, 512> {rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf32>
  %y = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %ids, %c, %s) {interleaved = 1 : i64, num_heads = 4 : i64, rotary_embedding_dim = 4 : i64} : (tensor<?x?x32xf32>, tensor<?x?xi64>, tensor<64x2xf32>, tensor<64x2xf32>) -> tensor<?x?x32xf32>
  return %y : tensor<?x?x32xf32>
}

// -----

// CHECK-NOT: llm.rope %
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %x: tensor<?x?x32xf32>, %other: tensor<?x?xi64>)
    -> (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) {
  %ids = builtin.unrealized_conversion_cast %positions : tensor<?xi32> to tensor<?x?xi64>
  %c = llm.onnx_tensor "cos_cache" <1, 0, 512> {is_cos, rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf32>
  %s = llm.onnx_tensor "sin_cache" <1, 512, 512> {rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf32>
  %bad = llm.onnx_tensor "bad_cache" <1, 1024, 512> {no_rope = "these are not cosines"} : tensor<64x2xf32>
  // expected-remark @below {{the positions are not the graph's position_ids}}
  %0 = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %other, %c, %s) {} : (tensor<?x?x32xf32>, tensor<?x?xi64>, tensor<64x2xf32>, tensor<64x2xf32>) -> tensor<?x?x32xf32>
  // expected-remark @below {{cos_cache and sin_cache are not a pair of one rotary embedding}}
  %1 = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %ids, %s, %c) {} : (tensor<?x?x32xf32>, tensor<?x?xi64>, tensor<64x2xf32>, tensor<64x2xf32>) -> tensor<?x?x32xf32>
  // expected-remark @below {{these are not cosines}}
  %2 = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %ids, %bad, %s) {} : (tensor<?x?x32xf32>, tensor<?x?xi64>, tensor<64x2xf32>, tensor<64x2xf32>) -> tensor<?x?x32xf32>
  // expected-remark @below {{a scale other than 1}}
  %3 = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %ids, %c, %s) {scale = 2.0 : f32} : (tensor<?x?x32xf32>, tensor<?x?xi64>, tensor<64x2xf32>, tensor<64x2xf32>) -> tensor<?x?x32xf32>
  return %0, %1, %2, %3 : tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>
}

// -----

// LongRoPE: an If asks whether attention_mask is longer than the original context. The larger tables bound the context.
// CHECK: module attributes {llm.max_context = 64 : i64}
// CHECK: llm.rope %{{.*}} {heads = 8 : i64, rope = #llm.rope<4, half, [1.000000e+00, 0.00999999977], dynamic_max = 16, long_inv_freq = [5.000000e-01, 1.000000e-03], long_scale = 1.500000e+00>}
module {
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"}, %x: tensor<?x?x32xf32>) -> tensor<?x?x32xf32> {
  %ids = builtin.unrealized_conversion_cast %positions : tensor<?xi32> to tensor<?x?xi64>
  %one = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %bound = llm.onnx_constant dense<16> : tensor<i64> -> tensor<i64>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %n = llm.onnx_node "Gather" domain "" opset 21(%shape, %one) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %g = llm.onnx_node "Greater" domain "" opset 21(%n, %bound) {} : (tensor<i64>, tensor<i64>) -> tensor<i1>
  %t:2 = llm.onnx_node "If" domain "" opset 21(%g) {} : (tensor<i1>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
    %c = llm.onnx_tensor "cos_large" <1, 0, 512> {is_cos, rope = #llm.rope<4, half, [0.5, 0.001], scale = 1.5>} : tensor<64x2xf32>
    %s = llm.onnx_tensor "sin_large" <1, 512, 512> {rope = #llm.rope<4, half, [0.5, 0.001], scale = 1.5>} : tensor<64x2xf32>
    llm.onnx_yield %c, %s : tensor<64x2xf32>, tensor<64x2xf32>
  }, {
    %c = llm.onnx_tensor "cos_small" <1, 1024, 128> {is_cos, rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<16x2xf32>
    %s = llm.onnx_tensor "sin_small" <1, 1152, 128> {rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<16x2xf32>
    llm.onnx_yield %c, %s : tensor<16x2xf32>, tensor<16x2xf32>
  }
  %y = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %ids, %t#0, %t#1) {} : (tensor<?x?x32xf32>, tensor<?x?xi64>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x?x32xf32>
  return %y : tensor<?x?x32xf32>
}
}

// -----

// Short tables of fewer positions than they are used for; a condition on something else.
// CHECK-NOT: llm.rope %
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"}, %x: tensor<?x?x32xf32>, %other: tensor<i1>) -> (tensor<?x?x32xf32>, tensor<?x?x32xf32>) {
  %ids = builtin.unrealized_conversion_cast %positions : tensor<?xi32> to tensor<?x?xi64>
  %one = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %bound = llm.onnx_constant dense<17> : tensor<i64> -> tensor<i64>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %n = llm.onnx_node "Gather" domain "" opset 21(%shape, %one) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %g = llm.onnx_node "Greater" domain "" opset 21(%n, %bound) {} : (tensor<i64>, tensor<i64>) -> tensor<i1>
  %lc = llm.onnx_tensor "cos_large" <1, 0, 512> {is_cos, rope = #llm.rope<4, half, [0.5, 0.001]>} : tensor<64x2xf32>
  %ls = llm.onnx_tensor "sin_large" <1, 512, 512> {rope = #llm.rope<4, half, [0.5, 0.001]>} : tensor<64x2xf32>
  %sc = llm.onnx_tensor "cos_small" <1, 1024, 128> {is_cos, rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<16x2xf32>
  %ss = llm.onnx_tensor "sin_small" <1, 1152, 128> {rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<16x2xf32>
  %t:2 = llm.onnx_node "If" domain "" opset 21(%g) {} : (tensor<i1>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
    llm.onnx_yield %lc, %ls : tensor<64x2xf32>, tensor<64x2xf32>
  }, {
    llm.onnx_yield %sc, %ss : tensor<16x2xf32>, tensor<16x2xf32>
  }
  %u:2 = llm.onnx_node "If" domain "" opset 21(%other) {} : (tensor<i1>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
    llm.onnx_yield %lc, %ls : tensor<64x2xf32>, tensor<64x2xf32>
  }, {
    llm.onnx_yield %sc, %ss : tensor<16x2xf32>, tensor<16x2xf32>
  }
  // expected-remark @below {{the short ones hold fewer positions than they are used for}}
  %y = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %ids, %t#0, %t#1) {} : (tensor<?x?x32xf32>, tensor<?x?xi64>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x?x32xf32>
  // expected-remark @below {{an If that does not ask whether attention_mask is longer than a number}}
  %z = llm.onnx_node "RotaryEmbedding" domain "com.microsoft" opset 1(%x, %ids, %u#0, %u#1) {} : (tensor<?x?x32xf32>, tensor<?x?xi64>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x?x32xf32>
  return %y, %z : tensor<?x?x32xf32>, tensor<?x?x32xf32>
}
