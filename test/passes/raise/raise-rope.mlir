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
