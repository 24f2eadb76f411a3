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

// -----

// Norms of the heads of q and k become one op on all columns.
// CHECK-LABEL: func.func @norms
// CHECK:       %[[QKV:.*]] = llm.concat_columns %arg0, %arg1, %arg2
// CHECK:       %[[N:.*]] = llm.qk_norm %[[QKV]], %arg4, %arg5 {epsilon = {{.*}}, heads = 2 : i64, kv_heads = 1 : i64} : tensor<?x16xf32>, tensor<4xf32>, tensor<4xf32>
// CHECK:       llm.attention_kv %[[N]], %arg3 table
func.func @norms(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %p: tensor<?xi32>, %wq: tensor<4xf32>, %wk: tensor<4xf32>) -> tensor<?x8xf32> {
  %qn = llm.head_norm %q, %wq {epsilon = 1.0e-06 : f32} : tensor<?x8xf32>, tensor<4xf32>
  %kn = llm.head_norm %k, %wk {epsilon = 1.0e-06 : f32} : tensor<?x4xf32>, tensor<4xf32>
  %qr = llm.rope %qn, %p {heads = 2 : i64, rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<?x8xf32>
  %kr = llm.rope %kn, %p {heads = 1 : i64, rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<?x4xf32>
  %a = llm.attention %qr, %kr, %v, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %a : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @one_norm
// CHECK:       llm.attention %
func.func @one_norm(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %p: tensor<?xi32>, %w: tensor<4xf32>) -> tensor<?x8xf32> {
  %qn = llm.head_norm %q, %w {epsilon = 1.0e-06 : f32} : tensor<?x8xf32>, tensor<4xf32>
  // expected-remark @below {{only one of q and k is normalised}}
  %a = llm.attention %qn, %k, %v, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %a : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @different_norms
// CHECK:       llm.attention %
func.func @different_norms(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %p: tensor<?xi32>, %w: tensor<4xf32>) -> tensor<?x8xf32> {
  %qn = llm.head_norm %q, %w {epsilon = 1.0e-06 : f32} : tensor<?x8xf32>, tensor<4xf32>
  %kn = llm.head_norm %k, %w {epsilon = 1.0e-05 : f32} : tensor<?x4xf32>, tensor<4xf32>
  // expected-remark @below {{q and k have different norms}}
  %a = llm.attention %qn, %kn, %v, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %a : tensor<?x8xf32>
}

// -----

func.func @weight_of_another_width(%q: tensor<?x8xf32>, %w: tensor<3xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{expects a weight of the width of a head}}
  %y = llm.head_norm %q, %w {epsilon = 1.0e-06 : f32} : tensor<?x8xf32>, tensor<3xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @no_epsilon(%q: tensor<?x8xf32>, %w: tensor<4xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{expects epsilon > 0}}
  %y = llm.head_norm %q, %w {epsilon = 0.0 : f32} : tensor<?x8xf32>, tensor<4xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @other_heads(%x: tensor<?x16xf32>, %w: tensor<4xf32>) -> tensor<?x16xf32> {
  // expected-error @below {{expects weights of the width of a head, and heads + 2 * kv_heads of them in a row}}
  %y = llm.qk_norm %x, %w, %w {epsilon = 1.0e-06 : f32, heads = 1 : i64, kv_heads = 1 : i64} : tensor<?x16xf32>, tensor<4xf32>, tensor<4xf32>
  return %y : tensor<?x16xf32>
}
