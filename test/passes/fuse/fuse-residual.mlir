// RUN: llmc-opt %s --llmc-fuse-residual --split-input-file --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @in_place
// CHECK:       %[[X:.*]] = llm.embed
// CHECK:       wq.linear %[[X]], %arg2 residual %[[X]] : tensor<?x8xf32>
// CHECK-NOT:   llm.add
func.func @in_place(%t: tensor<?xi32>, %e: tensor<4x8xf16>, %w: tensor<8x8xf16>) -> tensor<?x8xf32> {
  %x = llm.embed %t, %e : tensor<4x8xf16> -> tensor<?x8xf32>
  %y = wq.linear %x, %w : tensor<?x8xf32>, tensor<8x8xf16> -> tensor<?x8xf32>
  %z = llm.add %x, %y : tensor<?x8xf32>
  return %z : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @read_later
// CHECK:       llm.add
func.func @read_later(%t: tensor<?xi32>, %e: tensor<4x8xf16>, %w: tensor<8x8xf16>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %x = llm.embed %t, %e : tensor<4x8xf16> -> tensor<?x8xf32>
  %y = wq.linear %x, %w : tensor<?x8xf32>, tensor<8x8xf16> -> tensor<?x8xf32>
  // expected-remark @below {{the residual is read after the add}}
  %z = llm.add %x, %y : tensor<?x8xf32>
  return %z, %x : tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @another_use
// CHECK:       llm.add
func.func @another_use(%t: tensor<?xi32>, %e: tensor<4x8xf16>, %w: tensor<8x8xf16>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %x = llm.embed %t, %e : tensor<4x8xf16> -> tensor<?x8xf32>
  %y = wq.linear %x, %w : tensor<?x8xf32>, tensor<8x8xf16> -> tensor<?x8xf32>
  // expected-remark @below {{the linear has another use}}
  %z = llm.add %x, %y : tensor<?x8xf32>
  return %z, %y : tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @experts
// CHECK:       %[[X:.*]] = llm.embed
// CHECK:       llm.experts %[[X]], %arg2, %arg3 by %arg4 residual %[[X]]
// CHECK-NOT:   llm.add
func.func @experts(%t: tensor<?xi32>, %e: tensor<4x64xf16>, %u: tensor<64x64xf16>, %d: tensor<64x32xf16>, %l: tensor<?x1xf32>) -> tensor<?x64xf32> {
  %x = llm.embed %t, %e : tensor<4x64xf16> -> tensor<?x64xf32>
  %y = llm.experts %x, %u, %d by %l {activation = #llm.activation<silu>, hidden = f32, k = 1 : i64} : tensor<?x64xf32>, tensor<64x64xf16>, tensor<64x32xf16>, tensor<?x1xf32> -> tensor<?x64xf32>
  %z = llm.add %x, %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
