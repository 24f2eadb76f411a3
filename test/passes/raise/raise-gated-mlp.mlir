// RUN: llmc-opt %s --llmc-raise-gated-mlp --remarks-filter=refusal --remark-format=emitRemark \
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
  %a = llm.onnx_node "Mul" domain "" opset 21(%g, %s) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{the Sigmoid is of another value than it is multiplied with}}
  %y = llm.onnx_node "Mul" domain "" opset 21(%u, %a) {} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}
