// RUN: llmc-opt %s --llmc-raise-activation --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s

// CHECK-LABEL: func @step
// CHECK:         %[[G:.*]] = builtin.unrealized_conversion_cast %arg0
// CHECK:         %[[U:.*]] = builtin.unrealized_conversion_cast %arg1
// CHECK:         llm.gated_mul %[[G]], %[[U]] {activation = #llm.activation<silu>} : tensor<?x16xf32>
func.func @step(%g: tensor<?x?x16xf32>, %u: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %s = llm.onnx_node "Sigmoid" domain "" opset 21(%g) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %a = llm.onnx_node "Mul" domain "" opset 21(%g, %s) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %y = llm.onnx_node "Mul" domain "" opset 21(%u, %a) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.gated_mul
func.func @step(%g: tensor<?x?x16xf32>, %u: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %s = llm.onnx_node "Sigmoid" domain "" opset 21(%u) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{the Sigmoid is of another value than it is multiplied with}}
  %a = llm.onnx_node "Mul" domain "" opset 21(%g, %s) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %y = llm.onnx_node "Mul" domain "" opset 21(%u, %a) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

// -----

// GELU by Tanh as optimum and torch.export write it, and with x * (1 + c * x * x); by Erf with Div and with Mul.
// CHECK-LABEL: func @step
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<gelu_tanh>}
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<gelu_tanh>}
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<gelu_erf>}
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<gelu_erf>}
// CHECK:         return
func.func @step(%x: tensor<?x?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %khalf = llm.onnx_constant dense<5.0e-1> : tensor<f32> -> tensor<f32>
  %kone = llm.onnx_constant dense<1.0> : tensor<f32> -> tensor<f32>
  %kthree = llm.onnx_constant dense<3.0> : tensor<f32> -> tensor<f32>
  %kc = llm.onnx_constant dense<0.044714998453855515> : tensor<f32> -> tensor<f32>
  %ks = llm.onnx_constant dense<0.7978845834732056> : tensor<f32> -> tensor<f32>
  %kroot = llm.onnx_constant dense<1.4142135381698608> : tensor<f32> -> tensor<f32>
  %kinv = llm.onnx_constant dense<0.7071067690849304> : tensor<f32> -> tensor<f32>
  %p = llm.onnx_node "Pow" domain "" opset 21(%x, %kthree) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m1 = llm.onnx_node "Mul" domain "" opset 21(%p, %kc) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %a1 = llm.onnx_node "Add" domain "" opset 21(%x, %m1) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %m2 = llm.onnx_node "Mul" domain "" opset 21(%ks, %a1) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %t = llm.onnx_node "Tanh" domain "" opset 21(%m2) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %a2 = llm.onnx_node "Add" domain "" opset 21(%t, %kone) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %h = llm.onnx_node "Mul" domain "" opset 21(%x, %khalf) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %g0 = llm.onnx_node "Mul" domain "" opset 21(%h, %a2) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %q1 = llm.onnx_node "Mul" domain "" opset 21(%x, %x) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %q2 = llm.onnx_node "Mul" domain "" opset 21(%kc, %q1) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %q3 = llm.onnx_node "Add" domain "" opset 21(%kone, %q2) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %q4 = llm.onnx_node "Mul" domain "" opset 21(%x, %q3) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %q5 = llm.onnx_node "Mul" domain "" opset 21(%q4, %ks) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %q6 = llm.onnx_node "Tanh" domain "" opset 21(%q5) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %q7 = llm.onnx_node "Add" domain "" opset 21(%kone, %q6) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %q8 = llm.onnx_node "Mul" domain "" opset 21(%x, %q7) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %g1 = llm.onnx_node "Mul" domain "" opset 21(%khalf, %q8) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %e1 = llm.onnx_node "Div" domain "" opset 21(%x, %kroot) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %e2 = llm.onnx_node "Erf" domain "" opset 21(%e1) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %e3 = llm.onnx_node "Add" domain "" opset 21(%e2, %kone) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %e4 = llm.onnx_node "Mul" domain "" opset 21(%x, %e3) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %g2 = llm.onnx_node "Mul" domain "" opset 21(%e4, %khalf) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %f1 = llm.onnx_node "Mul" domain "" opset 21(%x, %kinv) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %f2 = llm.onnx_node "Erf" domain "" opset 21(%f1) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %f3 = llm.onnx_node "Add" domain "" opset 21(%kone, %f2) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %f4 = llm.onnx_node "Mul" domain "" opset 21(%khalf, %x) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %g3 = llm.onnx_node "Mul" domain "" opset 21(%f3, %f4) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %g0, %g1, %g2, %g3 : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}

// -----

// Near misses: another constant, another value, no half. What they compute is no activation that is known.
// CHECK-LABEL: func @step
// CHECK-NOT:     llm.activate
func.func @step(%x: tensor<?x?x16xf32>, %u: tensor<?x?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %khalf = llm.onnx_constant dense<5.0e-1> : tensor<f32> -> tensor<f32>
  %kone = llm.onnx_constant dense<1.0> : tensor<f32> -> tensor<f32>
  %kthree = llm.onnx_constant dense<3.0> : tensor<f32> -> tensor<f32>
  %kc = llm.onnx_constant dense<0.045> : tensor<f32> -> tensor<f32>
  %ks = llm.onnx_constant dense<0.7978845834732056> : tensor<f32> -> tensor<f32>
  %kinv = llm.onnx_constant dense<0.7071067690849304> : tensor<f32> -> tensor<f32>
  %p = llm.onnx_node "Pow" domain "" opset 21(%x, %kthree) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %m1 = llm.onnx_node "Mul" domain "" opset 21(%p, %kc) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %a1 = llm.onnx_node "Add" domain "" opset 21(%x, %m1) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %m2 = llm.onnx_node "Mul" domain "" opset 21(%ks, %a1) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %t = llm.onnx_node "Tanh" domain "" opset 21(%m2) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %a2 = llm.onnx_node "Add" domain "" opset 21(%t, %kone) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %h = llm.onnx_node "Mul" domain "" opset 21(%x, %khalf) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %g0 = llm.onnx_node "Mul" domain "" opset 21(%h, %a2) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %f1 = llm.onnx_node "Mul" domain "" opset 21(%u, %kinv) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %f2 = llm.onnx_node "Erf" domain "" opset 21(%f1) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %f3 = llm.onnx_node "Add" domain "" opset 21(%kone, %f2) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %f4 = llm.onnx_node "Mul" domain "" opset 21(%khalf, %x) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %g1 = llm.onnx_node "Mul" domain "" opset 21(%f3, %f4) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %h1 = llm.onnx_node "Mul" domain "" opset 21(%x, %kinv) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %h2 = llm.onnx_node "Erf" domain "" opset 21(%h1) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %h3 = llm.onnx_node "Add" domain "" opset 21(%kone, %h2) {} : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %g2 = llm.onnx_node "Mul" domain "" opset 21(%x, %h3) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %g0, %g1, %g2 : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}

// -----

// Operators of their own; a bias goes to the linear before.
// CHECK-LABEL: func @step
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<relu>}
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<gelu_erf>}
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<gelu_tanh>}
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<silu>}
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<gelu_erf>}
// CHECK:         %[[L:.*]] = llm.linear %{{.*}}, %{{.*}} bias
// CHECK:         llm.activate %[[L]] {activation = #llm.activation<gelu_erf>}
// CHECK:         llm.activate %{{.*}} {activation = #llm.activation<gelu_tanh>}
llm.weight @w : tensor<16x16xf32> [#llm.storage<0, 0, 1024>]
func.func @step(%x: tensor<?x?x16xf32>, %r: tensor<?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %w = llm.get_weight @w : tensor<16x16xf32>
  %lin = llm.linear %r, %w : tensor<?x16xf32>, tensor<16x16xf32> -> tensor<?x16xf32>
  %l = builtin.unrealized_conversion_cast %lin : tensor<?x16xf32> to tensor<?x?x16xf32>
  %b = llm.onnx_tensor "b" <0, 0, 64> : tensor<16xf32>
  %0 = llm.onnx_node "Relu" domain "" opset 21(%x) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %1 = llm.onnx_node "Gelu" domain "" opset 21(%x) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %2 = llm.onnx_node "Gelu" domain "" opset 21(%x) {approximate = "tanh"} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %3 = llm.onnx_node "Swish" domain "" opset 24(%x) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %4 = llm.onnx_node "Gelu" domain "com.microsoft" opset 1(%x) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %5 = llm.onnx_node "BiasGelu" domain "com.microsoft" opset 1(%l, %b) {} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  %6 = llm.onnx_node "FastGelu" domain "com.microsoft" opset 1(%x) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %0, %1, %2, %3, %4, %5, %6 : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.activate
func.func @step(%x: tensor<?x?x16xf32>, %v: tensor<?x?x?xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x?xf32>, tensor<?x?x16xf32>) {
  %b = llm.onnx_tensor "b" <0, 0, 64> : tensor<16xf32>
  // expected-remark @below {{x * sigmoid(1.702000 x), expected a factor of 1}}
  %0 = llm.onnx_node "QuickGelu" domain "com.microsoft" opset 1(%x) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{of what is not rows of a known width}}
  %1 = llm.onnx_node "Relu" domain "" opset 21(%v) {} : (tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  // expected-remark @below {{a bias of what is no linear without one}}
  %2 = llm.onnx_node "BiasGelu" domain "com.microsoft" opset 1(%x, %b) {} : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
  return %0, %1, %2 : tensor<?x?x16xf32>, tensor<?x?x?xf32>, tensor<?x?x16xf32>
}

// -----

// GeGLU of Gemma; an embedding's scale; a bound on logits; a factor of its own.
// CHECK-LABEL: func @step
// CHECK:         llm.embed %{{.*}}, %{{.*}} {scale = 8.000000e+00 : f32}
// CHECK:         llm.gated_mul %{{.*}}, %{{.*}} {activation = #llm.activation<gelu_tanh>}
// CHECK:         llm.scale %{{.*}} {scale = 1.000000e+00 : f32, softcap = 3.000000e+01 : f32}
// CHECK:         llm.scale %{{.*}} {scale = 1.250000e-01 : f32} : tensor<?x16xf32>
llm.weight @e : tensor<40x16xf32> [#llm.storage<0, 0, 2560>]
func.func @step(%tokens: tensor<?xi32>, %x: tensor<?x?x16xf32>, %u: tensor<?x?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %e = llm.get_weight @e : tensor<40x16xf32>
  %rows = llm.embed %tokens, %e : tensor<40x16xf32> -> tensor<?x16xf32>
  %h = builtin.unrealized_conversion_cast %rows : tensor<?x16xf32> to tensor<?x?x16xf32>
  %keight = llm.onnx_constant dense<8.0> : tensor<f32> -> tensor<f32>
  %kcap = llm.onnx_constant dense<3.0e+1> : tensor<f32> -> tensor<f32>
  %0 = llm.onnx_node "Mul" domain "" opset 21(%h, %keight) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %g = llm.onnx_node "Gelu" domain "" opset 21(%x) {approximate = "tanh"} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %1 = llm.onnx_node "Mul" domain "" opset 21(%u, %g) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %d = llm.onnx_node "Div" domain "" opset 21(%x, %kcap) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %t = llm.onnx_node "Tanh" domain "" opset 21(%d) {} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %2 = llm.onnx_node "Mul" domain "" opset 21(%t, %kcap) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  %3 = llm.onnx_node "Div" domain "" opset 21(%u, %keight) {} : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
  return %0, %1, %2, %3 : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}
