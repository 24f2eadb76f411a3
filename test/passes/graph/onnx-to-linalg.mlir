// RUN: llmc-opt %s --llmc-onnx-to-linalg --canonicalize --verify-diagnostics --split-input-file | FileCheck %s

// Names, types with their signs and dims are kept for the runtime; the code sees signless elements.
// CHECK: llmc.graph_inputs = [{dims = array<i64: -1, 3>, name = "x", symbols = ["batch", ""], type = ui8}]
// CHECK-SAME: llmc.graph_outputs = [{dims = array<i64: -1, 3>, name = "y", symbols = [], type = ui8}]
// CHECK-LABEL: func.func @llmc_graph(%{{.*}}: !llvm.ptr, %{{.*}}: memref<?xi8>, %{{.*}}: tensor<?x3xi8> {bufferization.writable = false}) -> tensor<?x3xi8>
// An operand that is 1 in every dim needs no check; of unsigned numbers the larger one is another one.
// CHECK-NOT: cf.assert
// CHECK: linalg.generic
// CHECK: arith.maxui
func.func @step(%x: tensor<?x3xui8> {llm.name = "x", llm.dims = ["batch", ""]}) -> (tensor<?x3xui8> {llm.name = "y"}) {
  %c = llm.onnx_constant dense<7> : tensor<1xui8> -> tensor<1xui8>
  %y = llm.onnx_node "Max" domain "" opset 18(%x, %c) {} : (tensor<?x3xui8>, tensor<1xui8>) -> tensor<?x3xui8>
  return %y : tensor<?x3xui8>
}

// -----

// Dims that only the run knows: checked, and read at index 0 where they are 1. f16 is computed in f32.
// CHECK-LABEL: func.func @llmc_graph
// CHECK: cf.assert %{{.*}}, "node 'sum' (Add): dims of the operands differ and none is 1"
// CHECK: linalg.generic
// CHECK: arith.extf
// CHECK: arith.addf %{{.*}} : f32
// CHECK: arith.truncf
func.func @step(%x: tensor<?xf16>, %y: tensor<?xf16>) -> tensor<?xf16> {
  %z = llm.onnx_node "Add" domain "" opset 18(%x, %y) {} : (tensor<?xf16>, tensor<?xf16>) -> tensor<?xf16> loc("sum")
  return %z : tensor<?xf16>
}

// -----

// Arithmetic on shapes is scalar code, and what is known is folded: the result's last dim is 4 * 8.
// CHECK-LABEL: func.func @llmc_graph
// CHECK-NOT: linalg.generic
// CHECK-NOT: cf.assert
// CHECK: tensor.collapse_shape %{{.*}} {{\[\[}}0], [1, 2]] : tensor<?x4x8xf32> into tensor<?x32xf32>
func.func @step(%x: tensor<?x4x8xf32>) -> tensor<*xf32> {
  %i = llm.onnx_constant dense<0> : tensor<i64> -> tensor<i64>
  %m = llm.onnx_constant dense<-1> : tensor<1xi64> -> tensor<1xi64>
  %axes = llm.onnx_constant dense<0> : tensor<1xi64> -> tensor<1xi64>
  %s = llm.onnx_node "Shape" domain "" opset 18(%x) {} : (tensor<?x4x8xf32>) -> tensor<3xi64>
  %b = llm.onnx_node "Gather" domain "" opset 18(%s, %i) {axis = 0 : i64} : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %u = llm.onnx_node "Unsqueeze" domain "" opset 18(%b, %axes) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %t = llm.onnx_node "Concat" domain "" opset 18(%u, %m) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %y = llm.onnx_node "Reshape" domain "" opset 18(%x, %t) {} : (tensor<?x4x8xf32>, tensor<2xi64>) -> tensor<*xf32>
  return %y : tensor<*xf32>
}

// -----

// Initialisers are views of the weights; each has its place, and those of 4 bits are unpacked.
// CHECK: llmc.graph_weights = [{offset = 0 : i64, storage = #llm.storage<0, 64, 6>}, {offset = 64 : i64, storage = #llm.storage<0, 16, 48>}], wq.weight_bytes = 128 : i64
// CHECK-LABEL: func.func @llmc_graph
// CHECK: memref.view %{{.*}}[%c64][] : memref<?xi8> to memref<3x4xf32>
// CHECK: memref.view %{{.*}}[%c0][] : memref<?xi8> to memref<6xi8>
// CHECK: arith.shrsi
// CHECK: arith.sitofp
func.func @step(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %w = llm.onnx_tensor "w" <0, 16, 48> : tensor<3x4xf32>
  %q = llm.onnx_tensor "q" <0, 64, 6> : tensor<3x4xsi4>
  %c = llm.onnx_node "Cast" domain "" opset 21(%q) {to = 1 : i64} : (tensor<3x4xsi4>) -> tensor<3x4xf32>
  %y = llm.onnx_node "Mul" domain "" opset 21(%w, %c) {} : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
  %z = llm.onnx_node "Mul" domain "" opset 21(%y, %x) {} : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
  return %z : tensor<3x4xf32>
}

// -----

// Both branches, with what they have in common of their dims.
// CHECK-LABEL: func.func @llmc_graph
// CHECK: scf.if %{{.*}} -> (tensor<?xf32>)
func.func @step(%c: tensor<i1>, %x: tensor<4xf32>, %y: tensor<2xf32>) -> tensor<?xf32> {
  %z = llm.onnx_node "If" domain "" opset 18(%c) {} : (tensor<i1>) -> tensor<?xf32> {
    llm.onnx_yield %x : tensor<4xf32>
  }, {
    llm.onnx_yield %y : tensor<2xf32>
  }
  return %z : tensor<?xf32>
}

// -----

// A known condition leaves one of them.
// CHECK-LABEL: func.func @llmc_graph
// CHECK-NOT: scf.if
// CHECK: return %{{.*}} : tensor<2xf32>
func.func @step(%x: tensor<4xf32>, %y: tensor<2xf32>) -> tensor<?xf32> {
  %c = llm.onnx_constant dense<false> : tensor<i1> -> tensor<i1>
  %z = llm.onnx_node "If" domain "" opset 18(%c) {} : (tensor<i1>) -> tensor<?xf32> {
    llm.onnx_yield %x : tensor<4xf32>
  }, {
    llm.onnx_yield %y : tensor<2xf32>
  }
  return %z : tensor<?xf32>
}

// -----

// The carried value grows, so its dim is dynamic; the scanned one piles up.
// CHECK-LABEL: func.func @llmc_graph
// CHECK: scf.while {{.*}}tensor<?xf32>, tensor<?x2xf32>
// CHECK: scf.condition
// CHECK: tensor.insert_slice
func.func @step(%n: tensor<i64>, %x: tensor<2xf32>) -> (tensor<?xf32>, tensor<?x2xf32>) {
  %go = llm.onnx_constant dense<true> : tensor<i1> -> tensor<i1>
  %r:2 = llm.onnx_node "Loop" domain "" opset 18(%n, %go, %x) {} : (tensor<i64>, tensor<i1>, tensor<2xf32>) -> (tensor<?xf32>, tensor<?x2xf32>) {
  ^bb0(%i: tensor<i64>, %c: tensor<i1>, %v: tensor<?xf32>):
    %w = llm.onnx_node "Concat" domain "" opset 18(%v, %x) {axis = 0 : i64} : (tensor<?xf32>, tensor<2xf32>) -> tensor<?xf32>
    llm.onnx_yield %c, %w, %x : tensor<i1>, tensor<?xf32>, tensor<2xf32>
  }
  return %r#0, %r#1 : tensor<?xf32>, tensor<?x2xf32>
}

// -----

// expected-error @below {{node 'n' (Frobnicate): operator test.Frobnicate has no lowering}}
module {
  func.func @step(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = llm.onnx_node "Frobnicate" domain "test" opset 1(%x) {} : (tensor<4xf32>) -> tensor<4xf32> loc("n")
    return %y : tensor<4xf32>
  }
}

// -----

// expected-error @below {{node 'n' (Add): dims of the operands: found 4 and 3, expected equal ones or 1}}
module {
  func.func @step(%x: tensor<4xf32>, %y: tensor<3xf32>) -> tensor<4xf32> {
    %z = llm.onnx_node "Add" domain "" opset 18(%x, %y) {} : (tensor<4xf32>, tensor<3xf32>) -> tensor<4xf32> loc("n")
    return %z : tensor<4xf32>
  }
}

// -----

// Operands of an operator that must agree: a refusal where the types contradict, a check where only the run knows.
// expected-error @below {{node 'n' (BatchNormalization): bias: found size 4 of axis 0, expected 3}}
module {
  func.func @step(%x: tensor<?x3xf32>, %p: tensor<3xf32>, %q: tensor<4xf32>) -> tensor<?x3xf32> {
    %z = llm.onnx_node "BatchNormalization" domain "" opset 18(%x, %p, %q, %p, %p) {} : (tensor<?x3xf32>, tensor<3xf32>, tensor<4xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32> loc("n")
    return %z : tensor<?x3xf32>
  }
}

// -----

// CHECK-LABEL: func.func @llmc_graph
// CHECK: cf.assert %{{.*}}, "node 'n' (BatchNormalization): scale: the size of axis 0 is not that of the other operands"
// CHECK-NOT: bias: the size
// CHECK: linalg.generic
func.func @step(%x: tensor<?x3xf32>, %p: tensor<?xf32>, %q: tensor<3xf32>) -> tensor<?x3xf32> {
  %z = llm.onnx_node "BatchNormalization" domain "" opset 18(%x, %p, %q, %q, %q) {} : (tensor<?x3xf32>, tensor<?xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32> loc("n")
  return %z : tensor<?x3xf32>
}

// -----

// expected-error @below {{input 'x': found no dims, expected as many as it has}}
module {
  func.func @step(%x: tensor<*xf32> {llm.name = "x"}) -> tensor<*xf32> {
    %z = llm.onnx_node "Neg" domain "" opset 18(%x) {} : (tensor<*xf32>) -> tensor<*xf32>
    return %z : tensor<*xf32>
  }
}
