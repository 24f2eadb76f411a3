// RUN: llmc-opt %s --llmc-fuse-gate-up --split-input-file --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @in_turns
// CHECK:       %[[W:.*]] = wq.concat %arg1, %arg2 {interleave = 32 : i64}
// CHECK:       llm.glu_linear %arg0, %[[W]] {activation = #llm.activation<silu>} : {{.*}} -> tensor<?x32xf32>
func.func @in_turns(%x: tensor<?x8xf32>, %g: tensor<32x8xf16>, %u: tensor<32x8xf16>) -> tensor<?x32xf32> {
  %a = wq.linear %x, %g : tensor<?x8xf32>, tensor<32x8xf16> -> tensor<?x32xf32>
  %b = wq.linear %x, %u : tensor<?x8xf32>, tensor<32x8xf16> -> tensor<?x32xf32>
  %y = llm.gated_mul %a, %b {activation = #llm.activation<silu>} : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// A width that is not a multiple of 32.
// CHECK-LABEL: func.func @joined
// CHECK:       %[[W:.*]] = wq.concat %arg1, %arg2
// CHECK:       %[[Y:.*]] = wq.linear %arg0, %[[W]] : {{.*}} -> tensor<?x32xf32>
// CHECK:       llm.glu %[[Y]] {activation = #llm.activation<silu>}
func.func @joined(%x: tensor<?x8xf32>, %g: tensor<16x8xf16>, %u: tensor<16x8xf16>) -> tensor<?x16xf32> {
  %a = wq.linear %x, %g : tensor<?x8xf32>, tensor<16x8xf16> -> tensor<?x16xf32>
  %b = wq.linear %x, %u : tensor<?x8xf32>, tensor<16x8xf16> -> tensor<?x16xf32>
  %y = llm.gated_mul %a, %b {activation = #llm.activation<silu>} : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

// The parts then write into one buffer.
// CHECK-LABEL: func.func @another_use
// CHECK:       %[[C:.*]] = llm.concat_columns
// CHECK:       llm.glu %[[C]]
func.func @another_use(%x: tensor<?x8xf32>, %g: tensor<16x8xf16>, %u: tensor<16x8xf16>) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  %a = wq.linear %x, %g : tensor<?x8xf32>, tensor<16x8xf16> -> tensor<?x16xf32>
  %b = wq.linear %x, %u : tensor<?x8xf32>, tensor<16x8xf16> -> tensor<?x16xf32>
  // expected-remark @below {{a projection has another use}}
  %y = llm.gated_mul %a, %b {activation = #llm.activation<silu>} : tensor<?x16xf32>
  return %y, %a : tensor<?x16xf32>, tensor<?x16xf32>
}

// -----

// CHECK-LABEL: func.func @not_a_linear
// CHECK:       llm.concat_columns
func.func @not_a_linear(%x: tensor<?x8xf32>, %a: tensor<?x16xf32>, %u: tensor<16x8xf16>) -> tensor<?x16xf32> {
  %b = wq.linear %x, %u : tensor<?x8xf32>, tensor<16x8xf16> -> tensor<?x16xf32>
  // expected-remark @below {{a part is not a linear}}
  %y = llm.gated_mul %a, %b {activation = #llm.activation<silu>} : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
