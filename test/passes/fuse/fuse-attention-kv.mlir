// RUN: llmc-opt %s --llmc-fuse-attention-kv --cse --split-input-file --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @rotated
// CHECK:       %[[F:.*]] = wq.constant dense<[1.000000e+00, 5.000000e-01]>
// CHECK:       %[[T:.*]] = llm.rope_table %arg3, %[[F]]
// CHECK:       %[[QKV:.*]] = llm.concat_columns %arg0, %arg1, %arg2
// CHECK:       llm.attention_kv %[[QKV]], %arg3 table %[[T]] {{.*}}layer = 0
// CHECK-NOT:   llm.rope_table
// CHECK:       llm.attention_kv {{.*}} table %[[T]] {{.*}}layer = 1
func.func @rotated(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %p: tensor<?xi32>) -> tensor<?x8xf32> {
  %qr = llm.rope %q, %p {heads = 2 : i64, rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<?x8xf32>
  %kr = llm.rope %k, %p {heads = 1 : i64, rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<?x4xf32>
  %a = llm.attention %qr, %kr, %v, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  %ar = llm.rope %a, %p {heads = 2 : i64, rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<?x8xf32>
  %k2 = llm.rope %k, %p {heads = 1 : i64, rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<?x4xf32>
  %b = llm.attention %ar, %k2, %v, %p {layer = 1 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %b : tensor<?x8xf32>
}

// -----

// What changes the scores stays.
// CHECK-LABEL: func.func @no_rope
// CHECK:       llm.attention_kv %{{.*}}, %arg3 sinks %arg4 : tensor<2xf32> {alibi, {{.*}}softcap = 5.000000e+00 : f32, window = 3 : i64}
func.func @no_rope(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %p: tensor<?xi32>, %s: tensor<2xf32>) -> tensor<?x8xf32> {
  %a = llm.attention %q, %k, %v, %p sinks %s : tensor<2xf32> {alibi, softcap = 5.0 : f32, window = 3 : i64, layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %a : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @half_rotated
// CHECK:       llm.attention %
func.func @half_rotated(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %p: tensor<?xi32>) -> tensor<?x8xf32> {
  %qr = llm.rope %q, %p {heads = 2 : i64, rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<?x8xf32>
  // expected-remark @below {{only one of q and k is rotated}}
  %a = llm.attention %qr, %k, %v, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %a : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @different_ropes
// CHECK:       llm.attention %
func.func @different_ropes(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %p: tensor<?xi32>) -> tensor<?x8xf32> {
  %qr = llm.rope %q, %p {heads = 2 : i64, rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<?x8xf32>
  %kr = llm.rope %k, %p {heads = 1 : i64, rope = #llm.rope<4, interleaved, [1.0, 0.5]>} : tensor<?x4xf32>
  // expected-remark @below {{q and k have different ropes}}
  %a = llm.attention %qr, %kr, %v, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %a : tensor<?x8xf32>
}

// -----

func.func @sinks_of_other_heads(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %p: tensor<?xi32>, %s: tensor<3xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{expects a sink for each head}}
  %a = llm.attention %q, %k, %v, %p sinks %s : tensor<3xf32> {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %a : tensor<?x8xf32>
}

// -----

func.func @negative_cap(%x: tensor<?x16xf32>, %p: tensor<?xi32>) -> tensor<?x8xf32> {
  // expected-error @below {{expects softcap >= 0}}
  %a = llm.attention_kv %x, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32, softcap = -1.0 : f32} : tensor<?x16xf32> -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}
