// RUN: llmc-opt %s --llmc-raise-rms-norm --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s

// CHECK-LABEL: func @step
// CHECK-SAME:    %[[ARG:.*]]: tensor<?x?x16xf32>
// CHECK:         %[[X:.*]] = builtin.unrealized_conversion_cast %[[ARG]]
// CHECK:         %[[W:.*]] = llm.get_weight @model.layers.0.input_layernorm.weight
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

// Near misses: the exponent, and the axis.
// CHECK-LABEL: func @step
// CHECK-NOT:     llm.rms_norm
func.func @step(%x: tensor<?x?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %w = llm.onnx_tensor "model.norm.weight" <0, 0, 64> : tensor<16xf32>
  %two = llm.onnx_constant dense<2.0> : tensor<f32> -> tensor<f32>
  %three = llm.onnx_constant dense<3.0> : tensor<f32> -> tensor<f32>
  %eps = llm.onnx_constant dense<1.0e-6> : tensor<f32> -> tensor<f32>
  %last = llm.onnx_constant dense<-1> : tensor<1xi64> -> tensor<1xi64>
  %first = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %p = llm.onnx_node "Pow" domain "" opset 18(%x, %three) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m = llm.onnx_node "ReduceMean" domain "" opset 18(%p, %last) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %a = llm.onnx_node "Add" domain "" opset 18(%m, %eps) {} : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %s = llm.onnx_node "Sqrt" domain "" opset 18(%a) {} : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %n = llm.onnx_node "Div" domain "" opset 18(%x, %s) {} : (tensor<?x?x16xf32>, tensor<?x?x1xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{RMSNorm whose exponent or epsilon is not a fixed number}}
  %y = llm.onnx_node "Mul" domain "" opset 18(%w, %n) {} : (tensor<16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %p1 = llm.onnx_node "Pow" domain "" opset 18(%x, %two) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m1 = llm.onnx_node "ReduceMean" domain "" opset 18(%p1, %first) {keepdims = 1 : i64} : (tensor<?x?x16xf32>, tensor<1xi64>) -> tensor<?x1x16xf32>
  %a1 = llm.onnx_node "Add" domain "" opset 18(%m1, %eps) {} : (tensor<?x1x16xf32>, tensor<f32>) -> tensor<?x1x16xf32>
  %s1 = llm.onnx_node "Sqrt" domain "" opset 18(%a1) {} : (tensor<?x1x16xf32>) -> tensor<?x1x16xf32>
  %n1 = llm.onnx_node "Div" domain "" opset 18(%x, %s1) {} : (tensor<?x?x16xf32>, tensor<?x1x16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{RMSNorm over another axis, or with a broadcast weight}}
  %y1 = llm.onnx_node "Mul" domain "" opset 18(%w, %n1) {} : (tensor<16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %y, %y1 : tensor<?x?x16xf32>, tensor<?x?x16xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.rms_norm
func.func @step(%x: tensor<?x?x16xf32>, %v: tensor<16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %w = llm.onnx_tensor "w" <0, 0, 64> : tensor<16xf32>
  // expected-remark @below {{epsilon is not positive}}
  %0 = llm.onnx_node "SimplifiedLayerNormalization" domain "" opset 21(%x, %w) {epsilon = 0.0 : f32} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{the weight is not an initialiser [C]}}
  %1 = llm.onnx_node "SimplifiedLayerNormalization" domain "" opset 21(%x, %v) {epsilon = 1.0e-5 : f32} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{a bias is added before the norm}}
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
