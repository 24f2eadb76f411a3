// RUN: llmc-opt %s --llmc-finish-raise --verify-diagnostics --split-input-file | FileCheck %s

// Rows are selected above the final norm; symbols follow the order of use; unused ones go.
// CHECK: module attributes {llm.hidden = 8 : i64, llm.layers = 0 : i64, llm.max_context = 64 : i64, llm.vocab = 40 : i64}
// CHECK-NEXT: llm.weight @embed
// CHECK-NEXT: llm.weight @norm
// CHECK-NEXT: llm.weight @head
// CHECK-NEXT: func.func @step(%[[T:.*]]: tensor<?xi32>, %{{.*}}: tensor<?xi32>, %[[ROWS:.*]]: tensor<?xi32>) -> tensor<?x40xf32>
// CHECK:      %[[X:.*]] = llm.embed %[[T]]
// CHECK-NEXT: %[[S:.*]] = llm.select_rows %[[X]], %[[ROWS]]
// CHECK-NEXT: %[[W:.*]] = llm.get_weight @norm
// CHECK-NEXT: %[[N:.*]] = llm.rms_norm %[[S]], %[[W]]
// CHECK-NEXT: %[[H:.*]] = llm.get_weight @head
// CHECK-NEXT: %[[Y:.*]] = llm.linear %[[N]], %[[H]]
// CHECK-NEXT: return %[[Y]]
module attributes {llm.max_context = 64 : i64} {
  llm.weight @head : tensor<40x8xf32> [#llm.storage<0, 0, 1280>]
  llm.weight @unused : tensor<40x8xf32> [#llm.storage<0, 0, 1280>]
  llm.weight @norm : tensor<8xf32> [#llm.storage<0, 0, 32>]
  llm.weight @embed : tensor<40x8xf32> [#llm.storage<0, 0, 1280>]
  func.func @step(%t: tensor<?xi32>, %p: tensor<?xi32>, %r: tensor<?xi32>, %ids: tensor<?x?xi64> {llm.name = "input_ids"}, %k: tensor<?x2x?x4xf32> {llm.name = "past.0.key"})
      -> (tensor<?x?x40xf32> {llm.name = "logits"}, tensor<?x2x?x4xf32> {llm.name = "present.0.key"}) {
    %h = llm.get_weight @head : tensor<40x8xf32>
    %n = llm.get_weight @norm : tensor<8xf32>
    %e = llm.get_weight @embed : tensor<40x8xf32>
    %x = llm.embed %t, %e : tensor<40x8xf32> -> tensor<?x8xf32>
    %y = llm.rms_norm %x, %n {epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
    %l = llm.linear %y, %h : tensor<?x8xf32>, tensor<40x8xf32> -> tensor<?x40xf32>
    %o = builtin.unrealized_conversion_cast %l : tensor<?x40xf32> to tensor<?x?x40xf32>
    return %o, %k : tensor<?x?x40xf32>, tensor<?x2x?x4xf32>
  }
}

// -----

// A head that reads the last token only (prune_lm_head).
// CHECK:      %[[S:.*]] = llm.select_rows %{{.*}}, %{{.*}}
// CHECK-NOT:  onnx_node
// CHECK:      llm.rms_norm %[[S]]
module attributes {llm.max_context = 64 : i64} {
  llm.weight @embed : tensor<40x8xf32> [#llm.storage<0, 0, 1280>]
  llm.weight @norm : tensor<8xf32> [#llm.storage<0, 0, 32>]
  func.func @step(%t: tensor<?xi32>, %p: tensor<?xi32>, %r: tensor<?xi32>, %ids: tensor<?x?xi64> {llm.name = "input_ids"}) -> (tensor<?x?x40xf32> {llm.name = "logits"}) {
    %e = llm.get_weight @embed : tensor<40x8xf32>
    %n = llm.get_weight @norm : tensor<8xf32>
    %i = llm.onnx_constant dense<-1> : tensor<i64> -> tensor<i64>
    %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
    %x = llm.embed %t, %e : tensor<40x8xf32> -> tensor<?x8xf32>
    %y = llm.rms_norm %x, %n {epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
    %c = builtin.unrealized_conversion_cast %y : tensor<?x8xf32> to tensor<?x?x8xf32>
    %g = llm.onnx_node "Gather" domain "" opset 21(%c, %i) {axis = 1 : i64} : (tensor<?x?x8xf32>, tensor<i64>) -> tensor<?x8xf32>
    %u = llm.onnx_node "Unsqueeze" domain "" opset 21(%g, %one) {} : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %d = builtin.unrealized_conversion_cast %u : tensor<?x1x8xf32> to tensor<?x8xf32>
    %l = llm.linear %d, %e : tensor<?x8xf32>, tensor<40x8xf32> -> tensor<?x40xf32>
    %o = builtin.unrealized_conversion_cast %l : tensor<?x40xf32> to tensor<?x?x40xf32>
    return %o : tensor<?x?x40xf32>
  }
}

// -----

module attributes {llm.max_context = 64 : i64} {
  func.func @step(%t: tensor<?xi32>, %p: tensor<?xi32>, %r: tensor<?xi32>, %x: tensor<?x?x8xf32> {llm.name = "x"}) -> (tensor<?x?x8xf32> {llm.name = "logits"}) {
    // expected-error @below {{node '' (Erf): no pattern of a decoder has this operator here}}
    %y = llm.onnx_node "Erf" domain "" opset 21(%x) {} : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

module attributes {llm.max_context = 64 : i64} {
  func.func @step(%t: tensor<?xi32>, %p: tensor<?xi32>, %r: tensor<?xi32>, %x: tensor<?x?x8xf32> {llm.name = "x"}) -> (tensor<?x?x8xf32> {llm.name = "logits"}) {
    %z = llm.onnx_node "Erf" domain "" opset 21(%x) {} : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    // expected-error @below {{node '' (Mul): the reason of a pattern}}
    %y = llm.onnx_node "Mul" domain "" opset 21(%z, %z) {} {llm.refusal = "the reason of a pattern"} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
