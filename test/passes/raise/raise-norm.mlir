// RUN: llmc-opt %s --llmc-raise-norm --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s

// CHECK-LABEL: func @step
// CHECK-SAME:    %[[ARG:.*]]: tensor<?x?x16xf32>
// CHECK-DAG:     %[[X:.*]] = builtin.unrealized_conversion_cast %[[ARG]]
// CHECK-DAG:     %[[W:.*]] = llm.get_weight @model.layers.0.input_layernorm.weight
// CHECK:         llm.rms_norm %[[X]], %[[W]] {epsilon = 9.99999974E-6 : f32}
func.func @step(%x: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %w = llm.onnx_tensor "model.layers.0.input_layernorm.weight" <0, 0, 64> : tensor<16xf32>
  %y = llm.onnx_node "SimplifiedLayerNormalization" domain "" opset 21(%x, %w) {axis = -1 : i64, epsilon = 1.0e-5 : f32, stash_type = 1 : i64} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK:         %[[SUM:.*]] = llm.add
// CHECK-DAG:     llm.rms_norm %[[SUM]]
// CHECK-DAG:     builtin.unrealized_conversion_cast %[[SUM]] : tensor<?x16xf32> to tensor<?x?x16xf16>
func.func @step(%x: tensor<?x?x16xf16>, %s: tensor<?x?x16xf16>) -> (tensor<?x?x16xf16>, tensor<?x?x16xf16>) {
  %w = llm.onnx_tensor "model.layers.1.final_norm_layernorm.weight" <0, 0, 32> : tensor<16xf16>
  %y:4 = llm.onnx_node "SkipSimplifiedLayerNormalization" domain "com.microsoft" opset 1(%x, %s, %w) {epsilon = 1.0e-5 : f32} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<16xf16>) -> (tensor<?x?x16xf16>, tensor<*xf32>, tensor<*xf32>, tensor<?x?x16xf16>)
  return %y#0, %y#3 : tensor<?x?x16xf16>, tensor<?x?x16xf16>
}

// -----

// torch.onnx: casts, Div(1, sqrt) and Mul.
// CHECK-LABEL: func @step
// CHECK:         llm.rms_norm %{{.*}}, %{{.*}} {epsilon = 9.99999997E-7 : f32}
func.func @step(%x: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %w = llm.onnx_tensor "model.norm.weight" <0, 0, 64> : tensor<16xf32>
  %two = llm.onnx_constant dense<2.0> : tensor<f32> -> tensor<f32>
  %one = llm.onnx_constant dense<1.0> : tensor<f32> -> tensor<f32>
  %eps = llm.onnx_constant dense<1.0e-6> : tensor<f32> -> tensor<f32>
  %axes = llm.onnx_constant dense<-1> : tensor<1xi64> -> tensor<1xi64>
  %c = llm.onnx_node "Cast" domain "" opset 18(%x) {to = 1 : i64} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %p = llm.onnx_node "Pow" domain "" opset 18(%c, %two) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m = llm.onnx_node "ReduceMean" domain "" opset 18(%p, %axes) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %a = llm.onnx_node "Add" domain "" opset 18(%m, %eps) {} : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %s = llm.onnx_node "Sqrt" domain "" opset 18(%a) {} : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %r = llm.onnx_node "Div" domain "" opset 18(%one, %s) {} : (tensor<f32>, tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %n = llm.onnx_node "Mul" domain "" opset 18(%c, %r) {} : (tensor<?x?x16xf32>, tensor<?x?x1xf32>) -> tensor<?x?x16xf32>
  %y = llm.onnx_node "Mul" domain "" opset 18(%w, %n) {} : (tensor<16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

// -----

// Near misses: the exponent, the axis, another value, an epsilon that is none.
// CHECK-LABEL: func @step
// CHECK-NOT:     llm.rms_norm
func.func @step(%x: tensor<?x?x16xf32>, %u: tensor<?x?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %two = llm.onnx_constant dense<2.0> : tensor<f32> -> tensor<f32>
  %three = llm.onnx_constant dense<3.0> : tensor<f32> -> tensor<f32>
  %eps = llm.onnx_constant dense<1.0e-6> : tensor<f32> -> tensor<f32>
  %none = llm.onnx_constant dense<-1.0e-6> : tensor<f32> -> tensor<f32>
  %last = llm.onnx_constant dense<-1> : tensor<1xi64> -> tensor<1xi64>
  %first = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %p0 = llm.onnx_node "Pow" domain "" opset 18(%x, %three) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m0 = llm.onnx_node "ReduceMean" domain "" opset 18(%p0, %last) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %a0 = llm.onnx_node "Add" domain "" opset 18(%m0, %eps) {} : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %s0 = llm.onnx_node "Sqrt" domain "" opset 18(%a0) {} : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %n0 = llm.onnx_node "Div" domain "" opset 18(%x, %s0) {} : (tensor<?x?x16xf32>, tensor<?x?x1xf32>) -> tensor<?x?x16xf32>
  %p1 = llm.onnx_node "Pow" domain "" opset 18(%x, %two) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m1 = llm.onnx_node "ReduceMean" domain "" opset 18(%p1, %first) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x1x16xf32>
  %a1 = llm.onnx_node "Add" domain "" opset 18(%m1, %eps) {} : (tensor<?x1x16xf32>, tensor<f32>) -> tensor<?x1x16xf32>
  %s1 = llm.onnx_node "Sqrt" domain "" opset 18(%a1) {} : (tensor<?x1x16xf32>) -> tensor<?x1x16xf32>
  // expected-remark @below {{a norm over another axis than the last}}
  %n1 = llm.onnx_node "Div" domain "" opset 18(%x, %s1) {} : (tensor<?x?x16xf32>, tensor<?x1x16xf32>) -> tensor<?x?x16xf32>
  %p2 = llm.onnx_node "Pow" domain "" opset 18(%x, %two) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m2 = llm.onnx_node "ReduceMean" domain "" opset 18(%p2, %last) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %a2 = llm.onnx_node "Add" domain "" opset 18(%m2, %eps) {} : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %s2 = llm.onnx_node "Sqrt" domain "" opset 18(%a2) {} : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %n2 = llm.onnx_node "Div" domain "" opset 18(%u, %s2) {} : (tensor<?x?x16xf32>, tensor<?x?x1xf32>) -> tensor<?x?x16xf32>
  %p3 = llm.onnx_node "Pow" domain "" opset 18(%x, %two) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m3 = llm.onnx_node "ReduceMean" domain "" opset 18(%p3, %last) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %a3 = llm.onnx_node "Add" domain "" opset 18(%m3, %none) {} : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %s3 = llm.onnx_node "Sqrt" domain "" opset 18(%a3) {} : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  // expected-remark @below {{a norm whose epsilon is not positive}}
  %n3 = llm.onnx_node "Div" domain "" opset 18(%x, %s3) {} : (tensor<?x?x16xf32>, tensor<?x?x1xf32>) -> tensor<?x?x16xf32>
  return %n0, %n1, %n2, %n3 : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.rms_norm
func.func @step(%x: tensor<?x?x16xf32>, %v: tensor<16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %w = llm.onnx_tensor "w" <0, 0, 64> : tensor<16xf32>
  // expected-remark @below {{epsilon is not positive}}
  %0 = llm.onnx_node "SimplifiedLayerNormalization" domain "" opset 21(%x, %w) {epsilon = 0.0 : f32} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{the weight or bias is not an initialiser of the width}}
  %1 = llm.onnx_node "SimplifiedLayerNormalization" domain "" opset 21(%x, %v) {epsilon = 1.0e-5 : f32} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{a bias is added before the norm to what is no linear without one}}
  %2 = llm.onnx_node "SkipSimplifiedLayerNormalization" domain "com.microsoft" opset 1(%x, %x, %w, %w) {epsilon = 1.0e-5 : f32} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  return %0, %1, %2 : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}

// -----

// The residual stream, and casts of activations.
// CHECK-LABEL: func @step
// CHECK:         %[[SUM:.*]] = llm.add
// CHECK-NEXT:    %[[OUT:.*]] = builtin.unrealized_conversion_cast %[[SUM]] : tensor<?x16xf32> to tensor<?x?x16xf32>
// CHECK-NEXT:    return %[[OUT]]
func.func @step(%x: tensor<?x?x16xf16>, %s: tensor<?x?x16xf16>) -> tensor<?x?x16xf32> {
  %a = llm.onnx_node "Add" domain "" opset 21(%x, %s) {} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>) -> tensor<?x?x16xf16>
  %y = llm.onnx_node "Cast" domain "" opset 21(%a) {to = 1 : i64} : (tensor<?x?x16xf16>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

// -----

// torch.export: x * Reciprocal(sqrt), x * x, the epsilon first; Gemma's weight less one, in f16 behind a Cast.
// CHECK-DAG: llm.weight @model.norm.weight : tensor<16xf16> [#llm.storage<0, 0, 32>] {plus = 1.000000e+00 : f32}
// CHECK-LABEL: func @step
// CHECK:         %[[W:.*]] = llm.get_weight @model.norm.weight
// CHECK:         llm.rms_norm %{{.*}}, %[[W]] {epsilon = 9.99999997E-7 : f32} : tensor<?x16xf32>, tensor<16xf16>
func.func @step(%x: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %w = llm.onnx_tensor "model.norm.weight" <0, 0, 32> : tensor<16xf16>
  %one = llm.onnx_constant dense<1.0> : tensor<f32> -> tensor<f32>
  %eps = llm.onnx_constant dense<1.0e-6> : tensor<f32> -> tensor<f32>
  %p = llm.onnx_node "Mul" domain "" opset 18(%x, %x) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %m = llm.onnx_node "ReduceMean" domain "" opset 17(%p) {axes = array<i64: 2>, keepdims = 1 : i64} : (tensor<?x?x16xf32>) -> tensor<?x?x1xf32>
  %a = llm.onnx_node "Add" domain "" opset 18(%eps, %m) {} : (tensor<f32>, tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %s = llm.onnx_node "Sqrt" domain "" opset 18(%a) {} : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %r = llm.onnx_node "Reciprocal" domain "" opset 18(%s) {} : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %n = llm.onnx_node "Mul" domain "" opset 18(%r, %x) {} : (tensor<?x?x1xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %c = llm.onnx_node "Cast" domain "" opset 18(%w) {to = 1 : i64} : (tensor<16xf16>) -> tensor<16xf32>
  %g = llm.onnx_node "Add" domain "" opset 18(%c, %one) {} : (tensor<16xf32>, tensor<f32>) -> tensor<16xf32>
  %y = llm.onnx_node "Mul" domain "" opset 18(%n, %g) {} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

// -----

// A norm without a weight.
// CHECK-LABEL: func @step
// CHECK:         %[[W:.*]] = wq.constant dense<1.000000e+00> : tensor<16xf32>
// CHECK:         llm.rms_norm %{{.*}}, %[[W]]
func.func @step(%x: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %two = llm.onnx_constant dense<2.0> : tensor<f32> -> tensor<f32>
  %minus = llm.onnx_constant dense<-5.0e-1> : tensor<f32> -> tensor<f32>
  %eps = llm.onnx_constant dense<1.0e-6> : tensor<f32> -> tensor<f32>
  %last = llm.onnx_constant dense<-1> : tensor<1xi64> -> tensor<1xi64>
  %p = llm.onnx_node "Pow" domain "" opset 18(%x, %two) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m = llm.onnx_node "ReduceMean" domain "" opset 18(%p, %last) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %a = llm.onnx_node "Add" domain "" opset 18(%m, %eps) {} : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %r = llm.onnx_node "Pow" domain "" opset 18(%a, %minus) {} : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %n = llm.onnx_node "Mul" domain "" opset 18(%x, %r) {} : (tensor<?x?x16xf32>, tensor<?x?x1xf32>) -> tensor<?x?x16xf32>
  return %n : tensor<?x?x16xf32>
}

// -----

// LayerNorm: decomposed (torch.onnx, opset 14 to 16), with and without a bias; the operator; with a residual.
// CHECK-LABEL: func @step
// CHECK:         llm.layer_norm %{{.*}}, %{{.*}} bias %{{.*}} : tensor<16xf32> {epsilon = 9.99999974E-6 : f32}
// CHECK:         llm.layer_norm %{{.*}}, %{{.*}} {epsilon = 9.99999974E-6 : f32}
// CHECK:         llm.layer_norm %{{.*}}, %{{.*}} bias %{{.*}} : tensor<16xf32> {epsilon = 9.99999997E-7 : f32}
// CHECK:         %[[SUM:.*]] = llm.add
// CHECK:         llm.layer_norm %[[SUM]], %{{.*}} bias
func.func @step(%x: tensor<?x?x16xf32>, %u: tensor<?x?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %w = llm.onnx_tensor "ln.weight" <0, 0, 64> : tensor<16xf32>
  %b = llm.onnx_tensor "ln.bias" <0, 64, 64> : tensor<16xf32>
  %two = llm.onnx_constant dense<2.0> : tensor<f32> -> tensor<f32>
  %eps = llm.onnx_constant dense<1.0e-5> : tensor<f32> -> tensor<f32>
  %last = llm.onnx_constant dense<-1> : tensor<1xi64> -> tensor<1xi64>
  %mu = llm.onnx_node "ReduceMean" domain "" opset 18(%x, %last) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %d = llm.onnx_node "Sub" domain "" opset 18(%x, %mu) {} : (tensor<?x?x16xf32>, tensor<?x?x1xf32>) -> tensor<?x?x16xf32>
  %p = llm.onnx_node "Pow" domain "" opset 18(%d, %two) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m = llm.onnx_node "ReduceMean" domain "" opset 18(%p, %last) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %a = llm.onnx_node "Add" domain "" opset 18(%m, %eps) {} : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %s = llm.onnx_node "Sqrt" domain "" opset 18(%a) {} : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %n = llm.onnx_node "Div" domain "" opset 18(%d, %s) {} : (tensor<?x?x16xf32>, tensor<?x?x1xf32>) -> tensor<?x?x16xf32>
  %g = llm.onnx_node "Mul" domain "" opset 18(%n, %w) {} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  %y = llm.onnx_node "Add" domain "" opset 18(%g, %b) {} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  %y1 = llm.onnx_node "LayerNormalization" domain "" opset 17(%y, %w) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  %y2 = llm.onnx_node "LayerNormalization" domain "" opset 17(%x, %w, %b) {axis = 2 : i64, epsilon = 1.0e-6 : f32} : (tensor<?x?x16xf32>, tensor<16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  %y3:4 = llm.onnx_node "SkipLayerNormalization" domain "com.microsoft" opset 1(%x, %u, %w, %b) {epsilon = 1.0e-5 : f32} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<16xf32>, tensor<16xf32>) -> (tensor<?x?x16xf32>, tensor<*xf32>, tensor<*xf32>, tensor<?x?x16xf32>)
  return %y, %y1, %y2, %y3#0, %y3#3 : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}

// -----

// The bias that is added before the norm is that of the linear (ONNX Runtime's optimiser).
// CHECK-LABEL: func @step
// CHECK:         %[[B:.*]] = llm.get_weight @o.bias
// CHECK:         %[[L:.*]] = llm.linear %{{.*}}, %{{.*}} bias %[[B]]
// CHECK:         %[[SUM:.*]] = llm.add %{{.*}}, %[[L]]
// CHECK:         llm.layer_norm %[[SUM]]
llm.weight @o : tensor<16x16xf32> [#llm.storage<0, 0, 1024>]
func.func @step(%x: tensor<?x?x16xf32>, %r: tensor<?x16xf32>) -> tensor<?x?x16xf32> {
  %o = llm.get_weight @o : tensor<16x16xf32>
  %l = llm.linear %r, %o : tensor<?x16xf32>, tensor<16x16xf32> -> tensor<?x16xf32>
  %u = builtin.unrealized_conversion_cast %l : tensor<?x16xf32> to tensor<?x?x16xf32>
  %w = llm.onnx_tensor "ln.weight" <0, 0, 64> : tensor<16xf32>
  %b = llm.onnx_tensor "ln.bias" <0, 64, 64> : tensor<16xf32>
  %c = llm.onnx_tensor "o.bias" <0, 128, 64> : tensor<16xf32>
  %y = llm.onnx_node "SkipLayerNormalization" domain "com.microsoft" opset 1(%x, %u, %w, %b, %c) {epsilon = 1.0e-5 : f32} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<16xf32>, tensor<16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

// -----

// Norms of heads: between two Reshapes (model builder), and behind Reshape and Transpose (torch.export).
// CHECK-LABEL: func @step
// CHECK-SAME:    %[[X:[a-z0-9]*]]: tensor<?x?x16xf32>
// CHECK:         %[[ROWS:.*]] = builtin.unrealized_conversion_cast %[[X]] : tensor<?x?x16xf32> to tensor<?x16xf32>
// CHECK:         %[[H:.*]] = llm.head_norm %[[ROWS]], %{{.*}} : tensor<?x16xf32>, tensor<4xf32>
// CHECK:         builtin.unrealized_conversion_cast %[[H]] : tensor<?x16xf32> to tensor<?x?x16xf32>
// CHECK:         %[[G:.*]] = llm.head_norm
// CHECK:         %[[C:.*]] = builtin.unrealized_conversion_cast %[[G]] : tensor<?x16xf32> to tensor<?x?x16xf32>
// CHECK:         %[[R:.*]] = llm.onnx_node "Reshape" {{.*}}(%[[C]]
// CHECK:         %[[T:.*]] = llm.onnx_node "Transpose" {{.*}}(%[[R]])
// CHECK:         return %{{.*}}, %[[T]]
func.func @step(%x: tensor<?x?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x4x?x4xf32>) {
  %w = llm.onnx_tensor "q_norm.weight" <0, 0, 16> : tensor<4xf32>
  %heads = llm.onnx_constant dense<[0, -1, 4]> : tensor<3xi64> -> tensor<3xi64>
  %back = llm.onnx_constant dense<[0, -1, 16]> : tensor<3xi64> -> tensor<3xi64>
  %four = llm.onnx_constant dense<[0, 0, 4, 4]> : tensor<4xi64> -> tensor<4xi64>
  %r = llm.onnx_node "Reshape" domain "" opset 21(%x, %heads) {} : (tensor<?x?x16xf32>, tensor<3xi64>) -> tensor<?x?x4xf32>
  %n = llm.onnx_node "SimplifiedLayerNormalization" domain "" opset 21(%r, %w) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x4xf32>, tensor<4xf32>) -> tensor<?x?x4xf32>
  %y = llm.onnx_node "Reshape" domain "" opset 21(%n, %back) {} : (tensor<?x?x4xf32>, tensor<3xi64>) -> tensor<?x?x16xf32>
  %s = llm.onnx_node "Reshape" domain "" opset 23(%x, %four) {} : (tensor<?x?x16xf32>, tensor<4xi64>) -> tensor<?x?x4x4xf32>
  %t = llm.onnx_node "Transpose" domain "" opset 23(%s) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x4x4xf32>) -> tensor<?x4x?x4xf32>
  %z = llm.onnx_node "RMSNormalization" domain "" opset 23(%t, %w) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x4x?x4xf32>, tensor<4xf32>) -> tensor<?x4x?x4xf32>
  return %y, %z : tensor<?x?x16xf32>, tensor<?x4x?x4xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.layer_norm
// CHECK:         return
func.func @step(%x: tensor<?x?x16xf32>, %v: tensor<?x?x?xf32>, %o: tensor<?x1x16xf32>) -> (tensor<?x?x4x4xf32>, tensor<?x?x?xf32>, tensor<?x?x16xf32>) {
  %w = llm.onnx_tensor "q_norm.weight" <0, 0, 16> : tensor<4xf32>
  %four = llm.onnx_constant dense<[0, 0, 4, 4]> : tensor<4xi64> -> tensor<4xi64>
  %s = llm.onnx_node "Reshape" domain "" opset 23(%x, %four) {} : (tensor<?x?x16xf32>, tensor<4xi64>) -> tensor<?x?x4x4xf32>
  // expected-remark @below {{LayerNorm of each head, expected RMSNorm}}
  %y = llm.onnx_node "LayerNormalization" domain "" opset 23(%s, %w) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x4x4xf32>, tensor<4xf32>) -> tensor<?x?x4x4xf32>
  // expected-remark @below {{the input is not rows, or heads of rows, of a known width}}
  %z = llm.onnx_node "LayerNormalization" domain "" opset 23(%v, %w) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x?xf32>, tensor<4xf32>) -> tensor<?x?x?xf32>
  // expected-remark @below {{an Add that broadcasts}}
  %a = llm.onnx_node "Add" domain "" opset 23(%x, %o) {} : (tensor<?x?x16xf32>, tensor<?x1x16xf32>) -> tensor<?x?x16xf32>
  return %y, %z, %a : tensor<?x?x4x4xf32>, tensor<?x?x?xf32>, tensor<?x?x16xf32>
}
