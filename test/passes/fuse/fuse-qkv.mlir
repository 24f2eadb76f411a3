// RUN: llmc-opt %s --llmc-fuse-qkv --split-input-file --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics | FileCheck %s

!w8 = tensor<8x32x!wq.quant<<kind = i4, group = 32>>>
!w4 = tensor<4x32x!wq.quant<<kind = i4, group = 32>>>

// CHECK-LABEL: func.func @joined
// CHECK:       %[[W:.*]] = wq.concat %arg1, %arg2, %arg2
// CHECK:       %[[Y:.*]] = wq.linear %arg0, %[[W]] : {{.*}} -> tensor<?x16xf32>
// CHECK:       llm.attention_kv %[[Y]]
// CHECK-NOT:   llm.concat_columns
func.func @joined(%x: tensor<?x32xf32>, %wq: !w8, %wk: !w4, %p: tensor<?xi32>) -> tensor<?x8xf32> {
  %q = wq.linear %x, %wq : tensor<?x32xf32>, !w8 -> tensor<?x8xf32>
  %k = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  %v = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  %qkv = llm.concat_columns %q, %k, %v : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x16xf32>
  %a = llm.attention_kv %qkv, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x16xf32> -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

!w8 = tensor<8x32x!wq.quant<<kind = i4, group = 32>>>
!w4 = tensor<4x32x!wq.quant<<kind = i8, group = 32>>>

// CHECK-LABEL: func.func @different_schemes
// CHECK:       llm.concat_columns
func.func @different_schemes(%x: tensor<?x32xf32>, %wq: !w8, %wk: !w4, %p: tensor<?xi32>) -> tensor<?x8xf32> {
  %q = wq.linear %x, %wq : tensor<?x32xf32>, !w8 -> tensor<?x8xf32>
  %k = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  %v = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  // expected-remark @below {{the weights differ in type}}
  %qkv = llm.concat_columns %q, %k, %v : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x16xf32>
  %a = llm.attention_kv %qkv, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x16xf32> -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

!w8 = tensor<8x32xf16>
!w4 = tensor<4x32xf16>

// CHECK-LABEL: func.func @different_inputs
// CHECK:       llm.concat_columns
func.func @different_inputs(%x: tensor<?x32xf32>, %z: tensor<?x32xf32>, %wq: !w8, %wk: !w4, %p: tensor<?xi32>) -> tensor<?x8xf32> {
  %q = wq.linear %x, %wq : tensor<?x32xf32>, !w8 -> tensor<?x8xf32>
  %k = wq.linear %z, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  %v = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  // expected-remark @below {{the projections read different inputs}}
  %qkv = llm.concat_columns %q, %k, %v : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x16xf32>
  %a = llm.attention_kv %qkv, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x16xf32> -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

!w8 = tensor<8x32xf16>
!w4 = tensor<4x32xf16>

// CHECK-LABEL: func.func @one_bias
// CHECK:       llm.concat_columns
func.func @one_bias(%x: tensor<?x32xf32>, %wq: !w8, %wk: !w4, %b: tensor<8xf32>, %p: tensor<?xi32>) -> tensor<?x8xf32> {
  %q = wq.linear %x, %wq bias %b : tensor<8xf32> : tensor<?x32xf32>, !w8 -> tensor<?x8xf32>
  %k = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  %v = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  // expected-remark @below {{one projection has a bias and another has none}}
  %qkv = llm.concat_columns %q, %k, %v : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x16xf32>
  %a = llm.attention_kv %qkv, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x16xf32> -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

!w8 = tensor<8x32x!wq.quant<<kind = i4, group = 32>>>
!w4 = tensor<4x32x!wq.quant<<kind = i4, group = 32>>>

// Norms of q and k do not keep their projections apart.
// CHECK-LABEL: func.func @norms
// CHECK:       %[[W:.*]] = wq.concat %arg1, %arg2, %arg2
// CHECK:       %[[Y:.*]] = wq.linear %arg0, %[[W]] : {{.*}} -> tensor<?x16xf32>
// CHECK:       llm.qk_norm %[[Y]]
func.func @norms(%x: tensor<?x32xf32>, %wq: !w8, %wk: !w4, %n: tensor<4xf32>) -> tensor<?x16xf32> {
  %q = wq.linear %x, %wq : tensor<?x32xf32>, !w8 -> tensor<?x8xf32>
  %k = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  %v = wq.linear %x, %wk : tensor<?x32xf32>, !w4 -> tensor<?x4xf32>
  %qkv = llm.concat_columns %q, %k, %v : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x16xf32>
  %y = llm.qk_norm %qkv, %n, %n {epsilon = 1.0e-06 : f32, heads = 2 : i64, kv_heads = 1 : i64} : tensor<?x16xf32>, tensor<4xf32>, tensor<4xf32>
  return %y : tensor<?x16xf32>
}
