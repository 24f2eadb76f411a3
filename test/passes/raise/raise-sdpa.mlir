// RUN: llmc-opt %s --llmc-raise-sdpa --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s
// Forms of real exporters, and near misses of them, are in SdpaTest.cpp.

// Two heads of two channels without rope or cache: softmax(q k^T + mask) v.
// CHECK-LABEL: func @step
// CHECK-SAME:    %{{[a-z0-9]*}}: tensor<?xi32>, %[[P:[a-z0-9]*]]: tensor<?xi32>, %{{[a-z0-9]*}}: tensor<?xi32>, %[[Q:[a-z0-9]*]]: tensor<?x4xf32>, %[[K:[a-z0-9]*]]: tensor<?x4xf32>, %[[V:[a-z0-9]*]]: tensor<?x4xf32>
// CHECK:         %[[Y:.*]] = llm.attention %[[Q]], %[[K]], %[[V]], %[[P]] {head_dim = 2 : i64, heads = 2 : i64, kv_heads = 2 : i64, layer = 0 : i64, scale = 5.000000e-01 : f32}
// CHECK:         %[[ROWS:.*]] = builtin.unrealized_conversion_cast %[[Y]] : tensor<?x4xf32> to tensor<?x?x4xf32>
// CHECK:         return %[[ROWS]]
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %q: tensor<?x4xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %ids: tensor<?x?xi64> {llm.name = "input_ids"}) -> tensor<?x?x4xf32> {
  %heads = llm.onnx_constant dense<[0, 0, 2, 2]> : tensor<4xi64> -> tensor<4xi64>
  %merge = llm.onnx_constant dense<[0, 0, 4]> : tensor<3xi64> -> tensor<3xi64>
  %half = llm.onnx_constant dense<0.5> : tensor<f32> -> tensor<f32>
  %zero = llm.onnx_constant dense<0.0> : tensor<f32> -> tensor<f32>
  %low = llm.onnx_constant dense<0xFF800000> : tensor<f32> -> tensor<f32>
  %i0 = llm.onnx_constant dense<0> : tensor<i64> -> tensor<i64>
  %i1 = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %v1 = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %shape = llm.onnx_node "Shape" domain "" opset 18(%ids) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %n = llm.onnx_node "Gather" domain "" opset 18(%shape, %i1) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %range = llm.onnx_node "Range" domain "" opset 18(%i0, %n, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %column = llm.onnx_node "Unsqueeze" domain "" opset 18(%range, %v1) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %keep = llm.onnx_node "LessOrEqual" domain "" opset 18(%range, %column) {} : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %mask = llm.onnx_node "Where" domain "" opset 18(%keep, %zero, %low) {} : (tensor<?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<?x?xf32>
  %q3 = builtin.unrealized_conversion_cast %q : tensor<?x4xf32> to tensor<?x?x4xf32>
  %k3 = builtin.unrealized_conversion_cast %k : tensor<?x4xf32> to tensor<?x?x4xf32>
  %v3 = builtin.unrealized_conversion_cast %v : tensor<?x4xf32> to tensor<?x?x4xf32>
  %q4 = llm.onnx_node "Reshape" domain "" opset 18(%q3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %k4 = llm.onnx_node "Reshape" domain "" opset 18(%k3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %v4 = llm.onnx_node "Reshape" domain "" opset 18(%v3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %qh = llm.onnx_node "Transpose" domain "" opset 18(%q4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x?x2xf32>
  %kh = llm.onnx_node "Transpose" domain "" opset 18(%k4) {perm = array<i64: 0, 2, 3, 1>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x2x?xf32>
  %vh = llm.onnx_node "Transpose" domain "" opset 18(%v4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x?x2xf32>
  %dot = llm.onnx_node "MatMul" domain "" opset 18(%qh, %kh) {} : (tensor<?x2x?x2xf32>, tensor<?x2x2x?xf32>) -> tensor<?x2x?x?xf32>
  %scaled = llm.onnx_node "Mul" domain "" opset 18(%dot, %half) {} : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %score = llm.onnx_node "Add" domain "" opset 18(%scaled, %mask) {} : (tensor<?x2x?x?xf32>, tensor<?x?xf32>) -> tensor<?x2x?x?xf32>
  %p = llm.onnx_node "Softmax" domain "" opset 18(%score) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %sum = llm.onnx_node "MatMul" domain "" opset 18(%p, %vh) {} : (tensor<?x2x?x?xf32>, tensor<?x2x?x2xf32>) -> tensor<?x2x?x2xf32>
  %back = llm.onnx_node "Transpose" domain "" opset 18(%sum) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x2xf32>) -> tensor<?x?x2x2xf32>
  %y = llm.onnx_node "Reshape" domain "" opset 18(%back, %merge) {} : (tensor<?x?x2x2xf32>, tensor<3xi64>) -> tensor<?x?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// -----

// Slopes of arXiv 2108.12409 times the position.
// CHECK-LABEL: func @step
// CHECK:         llm.attention {{.*}} {alibi, head_dim = 2 : i64, heads = 2 : i64
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %q: tensor<?x4xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %ids: tensor<?x?xi64> {llm.name = "input_ids"}) -> tensor<?x?x4xf32> {
  %heads = llm.onnx_constant dense<[0, 0, 2, 2]> : tensor<4xi64> -> tensor<4xi64>
  %merge = llm.onnx_constant dense<[0, 0, 4]> : tensor<3xi64> -> tensor<3xi64>
  %slopes = llm.onnx_constant dense<[[[0.0625]], [[0.00390625]]]> : tensor<2x1x1xf32> -> tensor<2x1x1xf32>
  %half = llm.onnx_constant dense<0.5> : tensor<f32> -> tensor<f32>
  %zero = llm.onnx_constant dense<0.0> : tensor<f32> -> tensor<f32>
  %low = llm.onnx_constant dense<0xFF800000> : tensor<f32> -> tensor<f32>
  %i0 = llm.onnx_constant dense<0> : tensor<i64> -> tensor<i64>
  %i1 = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %v1 = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %shape = llm.onnx_node "Shape" domain "" opset 18(%ids) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %n = llm.onnx_node "Gather" domain "" opset 18(%shape, %i1) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %range = llm.onnx_node "Range" domain "" opset 18(%i0, %n, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %column = llm.onnx_node "Unsqueeze" domain "" opset 18(%range, %v1) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %keep = llm.onnx_node "LessOrEqual" domain "" opset 18(%range, %column) {} : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %mask = llm.onnx_node "Where" domain "" opset 18(%keep, %zero, %low) {} : (tensor<?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<?x?xf32>
  %q3 = builtin.unrealized_conversion_cast %q : tensor<?x4xf32> to tensor<?x?x4xf32>
  %k3 = builtin.unrealized_conversion_cast %k : tensor<?x4xf32> to tensor<?x?x4xf32>
  %v3 = builtin.unrealized_conversion_cast %v : tensor<?x4xf32> to tensor<?x?x4xf32>
  %q4 = llm.onnx_node "Reshape" domain "" opset 18(%q3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %k4 = llm.onnx_node "Reshape" domain "" opset 18(%k3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %v4 = llm.onnx_node "Reshape" domain "" opset 18(%v3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %qh = llm.onnx_node "Transpose" domain "" opset 18(%q4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x?x2xf32>
  %kh = llm.onnx_node "Transpose" domain "" opset 18(%k4) {perm = array<i64: 0, 2, 3, 1>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x2x?xf32>
  %vh = llm.onnx_node "Transpose" domain "" opset 18(%v4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x?x2xf32>
  %dot = llm.onnx_node "MatMul" domain "" opset 18(%qh, %kh) {} : (tensor<?x2x?x2xf32>, tensor<?x2x2x?xf32>) -> tensor<?x2x?x?xf32>
  %scaled = llm.onnx_node "Mul" domain "" opset 18(%dot, %half) {} : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %score = llm.onnx_node "Add" domain "" opset 18(%scaled, %mask) {} : (tensor<?x2x?x?xf32>, tensor<?x?xf32>) -> tensor<?x2x?x?xf32>
  %range1 = llm.onnx_node "Cast" domain "" opset 18(%range) {to = 1 : i64} : (tensor<?xi64>) -> tensor<?xf32>
  %bias = llm.onnx_node "Mul" domain "" opset 18(%slopes, %range1) {} : (tensor<2x1x1xf32>, tensor<?xf32>) -> tensor<2x1x?xf32>
  %biased = llm.onnx_node "Add" domain "" opset 18(%score, %bias) {} : (tensor<?x2x?x?xf32>, tensor<2x1x?xf32>) -> tensor<?x2x?x?xf32>
  %p = llm.onnx_node "Softmax" domain "" opset 18(%biased) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %sum = llm.onnx_node "MatMul" domain "" opset 18(%p, %vh) {} : (tensor<?x2x?x?xf32>, tensor<?x2x?x2xf32>) -> tensor<?x2x?x2xf32>
  %back = llm.onnx_node "Transpose" domain "" opset 18(%sum) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x2xf32>) -> tensor<?x?x2x2xf32>
  %y = llm.onnx_node "Reshape" domain "" opset 18(%back, %merge) {} : (tensor<?x?x2x2xf32>, tensor<3xi64>) -> tensor<?x?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// -----

// Other slopes.
// CHECK-LABEL: func @step
// CHECK-NOT:     llm.attention
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %q: tensor<?x4xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %ids: tensor<?x?xi64> {llm.name = "input_ids"}) -> tensor<?x?x4xf32> {
  %heads = llm.onnx_constant dense<[0, 0, 2, 2]> : tensor<4xi64> -> tensor<4xi64>
  %merge = llm.onnx_constant dense<[0, 0, 4]> : tensor<3xi64> -> tensor<3xi64>
  %slopes = llm.onnx_constant dense<[[[0.0625]], [[0.03]]]> : tensor<2x1x1xf32> -> tensor<2x1x1xf32>
  %half = llm.onnx_constant dense<0.5> : tensor<f32> -> tensor<f32>
  %zero = llm.onnx_constant dense<0.0> : tensor<f32> -> tensor<f32>
  %low = llm.onnx_constant dense<0xFF800000> : tensor<f32> -> tensor<f32>
  %i0 = llm.onnx_constant dense<0> : tensor<i64> -> tensor<i64>
  %i1 = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %v1 = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %shape = llm.onnx_node "Shape" domain "" opset 18(%ids) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %n = llm.onnx_node "Gather" domain "" opset 18(%shape, %i1) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %range = llm.onnx_node "Range" domain "" opset 18(%i0, %n, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %column = llm.onnx_node "Unsqueeze" domain "" opset 18(%range, %v1) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %keep = llm.onnx_node "LessOrEqual" domain "" opset 18(%range, %column) {} : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %mask = llm.onnx_node "Where" domain "" opset 18(%keep, %zero, %low) {} : (tensor<?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<?x?xf32>
  %q3 = builtin.unrealized_conversion_cast %q : tensor<?x4xf32> to tensor<?x?x4xf32>
  %k3 = builtin.unrealized_conversion_cast %k : tensor<?x4xf32> to tensor<?x?x4xf32>
  %v3 = builtin.unrealized_conversion_cast %v : tensor<?x4xf32> to tensor<?x?x4xf32>
  %q4 = llm.onnx_node "Reshape" domain "" opset 18(%q3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %k4 = llm.onnx_node "Reshape" domain "" opset 18(%k3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %v4 = llm.onnx_node "Reshape" domain "" opset 18(%v3, %heads) {} : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
  %qh = llm.onnx_node "Transpose" domain "" opset 18(%q4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x?x2xf32>
  %kh = llm.onnx_node "Transpose" domain "" opset 18(%k4) {perm = array<i64: 0, 2, 3, 1>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x2x?xf32>
  %vh = llm.onnx_node "Transpose" domain "" opset 18(%v4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x?x2xf32>
  %dot = llm.onnx_node "MatMul" domain "" opset 18(%qh, %kh) {} : (tensor<?x2x?x2xf32>, tensor<?x2x2x?xf32>) -> tensor<?x2x?x?xf32>
  %scaled = llm.onnx_node "Mul" domain "" opset 18(%dot, %half) {} : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %score = llm.onnx_node "Add" domain "" opset 18(%scaled, %mask) {} : (tensor<?x2x?x?xf32>, tensor<?x?xf32>) -> tensor<?x2x?x?xf32>
  %range1 = llm.onnx_node "Cast" domain "" opset 18(%range) {to = 1 : i64} : (tensor<?xi64>) -> tensor<?xf32>
  %bias = llm.onnx_node "Mul" domain "" opset 18(%slopes, %range1) {} : (tensor<2x1x1xf32>, tensor<?xf32>) -> tensor<2x1x?xf32>
  %biased = llm.onnx_node "Add" domain "" opset 18(%score, %bias) {} : (tensor<?x2x?x?xf32>, tensor<2x1x?xf32>) -> tensor<?x2x?x?xf32>
  // expected-remark@below {{a score is not a number times the product of a query and a key}}
  %p = llm.onnx_node "Softmax" domain "" opset 18(%biased) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %sum = llm.onnx_node "MatMul" domain "" opset 18(%p, %vh) {} : (tensor<?x2x?x?xf32>, tensor<?x2x?x2xf32>) -> tensor<?x2x?x2xf32>
  %back = llm.onnx_node "Transpose" domain "" opset 18(%sum) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x2xf32>) -> tensor<?x?x2x2xf32>
  %y = llm.onnx_node "Reshape" domain "" opset 18(%back, %merge) {} : (tensor<?x?x2x2xf32>, tensor<3xi64>) -> tensor<?x?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// -----

// A softmax along another axis is none over positions; nothing is said of it.
// CHECK-LABEL: func @step
// CHECK-NOT:     llm.attention
func.func @step(%x: tensor<?x2x?x?xf32> {llm.name = "x"}) -> tensor<?x2x?x?xf32> {
  %p = llm.onnx_node "Softmax" domain "" opset 18(%x) {axis = 1 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  return %p : tensor<?x2x?x?xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.attention
func.func @step(%x: tensor<?x2x?x?xf32> {llm.name = "x"}) -> tensor<?x2x?x?xf32> {
  // expected-remark@below {{a score is not made of one product of a query and a key}}
  %p = llm.onnx_node "Softmax" domain "" opset 18(%x) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  return %p : tensor<?x2x?x?xf32>
}

// -----

// Positions in rows 2 and later of a table: OPT.
// CHECK:       llm.weight @positions.weight : tensor<6x4xf32> [#llm.storage<0, 0, 128>] {row_begin = 2 : i64, stored_rows = 8 : i64}
// CHECK-LABEL: func @step
// CHECK-SAME:    %{{[a-z0-9]*}}: tensor<?xi32>, %[[P:[a-z0-9]*]]: tensor<?xi32>
// CHECK:         llm.embed %[[P]], %{{.*}} : tensor<6x4xf32> -> tensor<?x4xf32>
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %ids: tensor<?x?xi64> {llm.name = "attention_mask"}) -> tensor<?x?x4xf32> {
  %table = llm.onnx_tensor "positions.weight" <0, 0, 128> : tensor<8x4xf32>
  %p = builtin.unrealized_conversion_cast %positions : tensor<?xi32> to tensor<?x?xi64>
  %two = llm.onnx_constant dense<2> : tensor<i64> -> tensor<i64>
  %at = llm.onnx_node "Add" domain "" opset 18(%p, %two) {} : (tensor<?x?xi64>, tensor<i64>) -> tensor<?x?xi64>
  %y = llm.onnx_node "Gather" domain "" opset 18(%table, %at) {axis = 0 : i64} : (tensor<8x4xf32>, tensor<?x?xi64>) -> tensor<?x?x4xf32>
  return %y : tensor<?x?x4xf32>
}
