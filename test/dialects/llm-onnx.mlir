// RUN: llmc-opt %s --verify-diagnostics --split-input-file | llmc-opt --split-input-file | FileCheck %s

// CHECK-LABEL: func @bodies
// CHECK:         %[[Y:.*]]:2 = llm.onnx_node "Loop" domain "" opset 18(%{{.*}}, %[[NONE:.*]], %{{.*}}) {} {declared} :
// CHECK-SAME:      (tensor<i64>, none, tensor<?xf32>) -> (tensor<?xf32>, tensor<?x?xf32>) {
// CHECK-NEXT:    ^bb0(%{{.*}}: tensor<i64>, %[[C:.*]]: tensor<i1>, %[[V:.*]]: tensor<?xf32>):
// CHECK-NEXT:      llm.onnx_yield %[[C]], %[[V]], %[[V]] : tensor<i1>, tensor<?xf32>, tensor<?xf32>
// CHECK:         llm.onnx_node "If" domain "" opset 18(%{{.*}}) {} : (tensor<i1>) -> tensor<?xf32> {
// CHECK-NEXT:      llm.onnx_yield %[[Y]]#0 : tensor<?xf32>
// CHECK-NEXT:    }, {
// CHECK-NEXT:      llm.onnx_yield %{{.*}} : tensor<?xf32>
// CHECK:         llm.onnx_tensor "w" <0, 16, 8> {value = dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>} : tensor<2xf32>
func.func @bodies(%n: tensor<i64>, %c: tensor<i1>, %x: tensor<?xf32>) -> tensor<?xf32> {
  %none = llm.onnx_none : none
  %y:2 = llm.onnx_node "Loop" domain "" opset 18(%n, %none, %x) {} {declared}
      : (tensor<i64>, none, tensor<?xf32>) -> (tensor<?xf32>, tensor<?x?xf32>) {
  ^bb0(%i: tensor<i64>, %keep: tensor<i1>, %v: tensor<?xf32>):
    llm.onnx_yield %keep, %v, %v : tensor<i1>, tensor<?xf32>, tensor<?xf32>
  }
  %z = llm.onnx_node "If" domain "" opset 18(%c) {} : (tensor<i1>) -> tensor<?xf32> {
    llm.onnx_yield %y#0 : tensor<?xf32>
  }, {
    llm.onnx_yield %x : tensor<?xf32>
  }
  %w = llm.onnx_tensor "w" <0, 16, 8> {value = dense<[1.0, 2.0]> : tensor<2xf32>} : tensor<2xf32>
  return %z : tensor<?xf32>
}

// -----
func.func @too_few(%c: tensor<i1>, %x: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error @below {{expects body 1 to yield 1 values, found 0}}
  %z = llm.onnx_node "If" domain "" opset 18(%c) {} : (tensor<i1>) -> tensor<?xf32> {
    llm.onnx_yield %x : tensor<?xf32>
  }, {
    llm.onnx_yield
  }
  return %z : tensor<?xf32>
}

// -----
func.func @other_end(%c: tensor<i1>, %x: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error @below {{expects body 0 to end in llm.onnx_yield}}
  %z = llm.onnx_node "If" domain "" opset 18(%c) {} : (tensor<i1>) -> tensor<?xf32> {
    func.return %x : tensor<?xf32>
  }
  return %z : tensor<?xf32>
}
