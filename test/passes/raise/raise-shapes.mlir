// RUN: llmc-opt %s --llmc-raise-shapes --split-input-file | FileCheck %s

// [batch, heads, tokens, 4] to [batch, tokens, -1]: TorchScript.
// CHECK-LABEL: func @step
// CHECK:         "Reshape"{{.*}} -> tensor<?x?x8xf32>
func.func @step(%x: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}) -> tensor<*xf32> {
  %zero = llm.onnx_constant dense<0> : tensor<i64> -> tensor<i64>
  %two = llm.onnx_constant dense<2> : tensor<i64> -> tensor<i64>
  %axis = llm.onnx_constant dense<0> : tensor<1xi64> -> tensor<1xi64>
  %rest = llm.onnx_constant dense<-1> : tensor<1xi64> -> tensor<1xi64>
  %shape = llm.onnx_node "Shape" domain "" opset 17(%x) {} : (tensor<?x2x?x4xf32>) -> tensor<4xi64>
  %b0 = llm.onnx_node "Gather" domain "" opset 17(%shape, %zero) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %b = llm.onnx_node "Unsqueeze" domain "" opset 17(%b0, %axis) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %n0 = llm.onnx_node "Gather" domain "" opset 17(%shape, %two) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %n = llm.onnx_node "Unsqueeze" domain "" opset 17(%n0, %axis) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %to = llm.onnx_node "Concat" domain "" opset 17(%b, %n, %rest) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<3xi64>
  %t = llm.onnx_node "Transpose" domain "" opset 17(%x) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %y = llm.onnx_node "Reshape" domain "" opset 17(%t, %to) {} : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<*xf32>
  return %y : tensor<*xf32>
}

// -----

// Half of a known size is a constant, and so is the square root of it; the number of tokens is not.
// CHECK-LABEL: func @step
// CHECK:         %[[HALF:.*]] = llm.onnx_constant dense<4> : tensor<i64>
// CHECK:         %[[ROOT:.*]] = llm.onnx_constant dense<2.000000e+00> : tensor<f32>
// CHECK:         %[[N:.*]] = llm.onnx_node "Gather"
// CHECK:         return %[[HALF]], %[[ROOT]], %[[N]]
func.func @step(%x: tensor<?x?x8xf32> {llm.name = "inputs_embeds"}) -> (tensor<i64>, tensor<f32>, tensor<i64>) {
  %one = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %two = llm.onnx_constant dense<2> : tensor<i64> -> tensor<i64>
  %shape = llm.onnx_node "Shape" domain "" opset 17(%x) {} : (tensor<?x?x8xf32>) -> tensor<3xi64>
  %c = llm.onnx_node "Gather" domain "" opset 17(%shape, %two) {axis = 0 : i64} : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %half = llm.onnx_node "Div" domain "" opset 17(%c, %two) {} : (tensor<i64>, tensor<i64>) -> tensor<i64>
  %float = llm.onnx_node "Cast" domain "" opset 17(%half) {to = 1 : i64} : (tensor<i64>) -> tensor<f32>
  %root = llm.onnx_node "Sqrt" domain "" opset 17(%float) {} : (tensor<f32>) -> tensor<f32>
  %n = llm.onnx_node "Gather" domain "" opset 17(%shape, %one) {axis = 0 : i64} : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  return %half, %root, %n : tensor<i64>, tensor<f32>, tensor<i64>
}

// -----

// The whole of a value; and not the whole of it.
// CHECK-LABEL: func @step
// CHECK-SAME:    %[[X:[a-z0-9]*]]: tensor<?x?x8xf32>
// CHECK:         llm.onnx_node "Slice"
// CHECK:         %[[PART:.*]] = llm.onnx_node "Slice"
// CHECK:         return %[[X]], %[[PART]]
func.func @step(%x: tensor<?x?x8xf32> {llm.name = "inputs_embeds"}) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %first = llm.onnx_constant dense<0> : tensor<1xi64> -> tensor<1xi64>
  %next = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %last = llm.onnx_constant dense<9223372036854775807> : tensor<1xi64> -> tensor<1xi64>
  %whole = llm.onnx_node "Slice" domain "" opset 18(%x, %first, %last, %next) {} : (tensor<?x?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?x8xf32>
  %part = llm.onnx_node "Slice" domain "" opset 18(%x, %next, %last, %next) {} : (tensor<?x?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?x8xf32>
  return %whole, %part : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}
