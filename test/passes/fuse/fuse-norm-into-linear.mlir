// RUN: llmc-opt %s --llmc-fuse-norm-into-linear --split-input-file --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @norm_and_glu
// CHECK:       llm.rms_norm %arg0, %arg1 {{.*}} -> tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
// CHECK-NOT:   wq.quantize_rows
// CHECK:       llm.glu %arg2 {{.*}} -> tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
func.func @norm_and_glu(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %g: tensor<?x16xf32>) -> (tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>, tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>) {
  %y = llm.rms_norm %x, %n {epsilon = 1.0e-05 : f32} : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  %a = wq.quantize_rows %y : tensor<?x8xf32> -> tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
  %z = llm.glu %g {activation = #llm.activation<silu>} : tensor<?x16xf32> -> tensor<?x8xf32>
  %b = wq.quantize_rows %z : tensor<?x8xf32> -> tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
  return %a, %b : tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>, tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
}

// -----

// CHECK-LABEL: func.func @layer_norm_and_activate
// CHECK:       llm.layer_norm %arg0, %arg1 {{.*}} -> tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
// CHECK:       llm.activate %arg0 {{.*}} -> tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
// CHECK-NOT:   wq.quantize_rows
!q8 = tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
func.func @layer_norm_and_activate(%x: tensor<?x8xf32>, %n: tensor<8xf32>) -> (!q8, !q8) {
  %y = llm.layer_norm %x, %n {epsilon = 1.0e-05 : f32} : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  %a = wq.quantize_rows %y : tensor<?x8xf32> -> !q8
  %z = llm.activate %x {activation = #llm.activation<relu>} : tensor<?x8xf32> -> tensor<?x8xf32>
  %b = wq.quantize_rows %z : tensor<?x8xf32> -> !q8
  return %a, %b : !q8, !q8
}

// -----

// CHECK-LABEL: func.func @another_use
// CHECK:       wq.quantize_rows
func.func @another_use(%x: tensor<?x8xf32>, %n: tensor<8xf32>) -> (tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>, tensor<?x8xf32>) {
  %y = llm.rms_norm %x, %n {epsilon = 1.0e-05 : f32} : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  // expected-remark @below {{the f32 rows have another use}}
  %a = wq.quantize_rows %y : tensor<?x8xf32> -> tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
  return %a, %y : tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>, tensor<?x8xf32>
}

// -----

!w = tensor<64x8x!wq.packed<<kind = f32>>>
!q = tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
!mixed = tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 128>>>

// A GLU writes q8 rows in blocks of 32; others are left to be quantised, in steps of many rows.
// CHECK-LABEL: func.func @glu_linear
// CHECK:       %[[A:.*]] = llm.glu_linear {{.*}} -> tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
// CHECK-NEXT:  %[[B:.*]] = llm.glu_linear {{.*}} -> tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = f32>>>
// CHECK-NEXT:  %[[C:.*]] = wq.quantize_rows %[[B]]
// CHECK-NEXT:  return %[[A]], %[[C]]
func.func @glu_linear(%x: tensor<?x8xf32>, %w: !w) -> (!q, !mixed) {
  %a = llm.glu_linear %x, %w {activation = #llm.activation<silu>} : tensor<?x8xf32>, !w -> tensor<?x32xf32>
  %p = wq.quantize_rows %a : tensor<?x32xf32> -> !q
  %b = llm.glu_linear %x, %w {activation = #llm.activation<silu>} : tensor<?x8xf32>, !w -> tensor<?x32xf32>
  %q = wq.quantize_rows %b : tensor<?x32xf32> -> !mixed
  return %p, %q : !q, !mixed
}

// -----

// Attention writes its cache: the op with f32 rows must be gone.
// CHECK-LABEL: func.func @attention
// CHECK-NEXT:  %[[Y:.*]] = llm.attention_kv {{.*}} -> tensor<?x64x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
// CHECK-NEXT:  return %[[Y]]
!r = tensor<?x64x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
func.func @attention(%qkv: tensor<?x192xf32>, %p: tensor<?xi32>) -> !r {
  %y = llm.attention_kv %qkv, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<?x192xf32> -> tensor<?x64xf32>
  %a = wq.quantize_rows %y : tensor<?x64xf32> -> !r
  return %a : !r
}
