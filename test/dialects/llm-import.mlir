// RUN: llmc-opt %s --split-input-file --verify-diagnostics | FileCheck %s

// Weights in runs and vectors that something is added to; ropes with long frequencies; scaled and bounded rows.
// CHECK: llm.weight @q : tensor<8x4xf32> [#llm.storage<0, 0, 384>] {row_begin = 4 : i64, run = 4 : i64, run_step = 12 : i64, stored_rows = 24 : i64}
// CHECK: llm.weight @n : tensor<4xf16> [#llm.storage<0, 384, 8>] {plus = 1.000000e+00 : f32}
// CHECK: llm.rope %{{.*}} {heads = 1 : i64, rope = #llm.rope<4, half, [1.000000e+00, 5.000000e-01], scale = 2.000000e+00, dynamic_max = 16, long_inv_freq = [2.500000e-01, 1.250000e-01], long_scale = 1.500000e+00>}
// CHECK: llm.scale %{{.*}} {scale = 5.000000e-01 : f32} : tensor<?x4xf32>
// CHECK: llm.scale %{{.*}} {scale = 1.000000e+00 : f32, softcap = 3.000000e+01 : f32} : tensor<?x4xf32>
llm.weight @q : tensor<8x4xf32> [#llm.storage<0, 0, 384>] {row_begin = 4 : i64, run = 4 : i64, run_step = 12 : i64, stored_rows = 24 : i64}
llm.weight @n : tensor<4xf16> [#llm.storage<0, 384, 8>] {plus = 1.0 : f32}
func.func @f(%x: tensor<?x4xf32>, %p: tensor<?xi32>) -> tensor<?x4xf32> {
  %r = llm.rope %x, %p {heads = 1 : i64, rope = #llm.rope<4, half, [1.0, 0.5], scale = 2.0, dynamic_max = 16, long_inv_freq = [0.25, 0.125], long_scale = 1.5>} : tensor<?x4xf32>
  %s = llm.scale %r {scale = 0.5 : f32} : tensor<?x4xf32>
  %y = llm.scale %s {scale = 1.0 : f32, softcap = 30.0 : f32} : tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// expected-error @below {{is rows 4 to 25 of 24}}
llm.weight @q : tensor<9x4xf32> [#llm.storage<0, 0, 384>] {row_begin = 4 : i64, run = 3 : i64, run_step = 9 : i64, stored_rows = 24 : i64}

// -----

// expected-error @below {{has 8 rows in runs of 3 every 9}}
llm.weight @q : tensor<8x4xf32> [#llm.storage<0, 0, 384>] {run = 3 : i64, run_step = 9 : i64, stored_rows = 24 : i64}

// -----

// expected-error @below {{adds to the elements of what is no vector of floats}}
llm.weight @q : tensor<8x4xf32> [#llm.storage<0, 0, 128>] {plus = 1.0 : f32}

// -----

func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @below {{expects softcap >= 0}}
  %y = llm.scale %x {scale = 1.0 : f32, softcap = -1.0 : f32} : tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>, %p: tensor<?xi32>) -> tensor<?x4xf32> {
  // expected-error @below {{rope: found 1 long frequencies after 16 positions, expected as many as the others and a positive number}}
  %r = llm.rope %x, %p {heads = 1 : i64, rope = #llm.rope<4, half, [1.0, 0.5], dynamic_max = 16, long_inv_freq = [0.25]>} : tensor<?x4xf32>
  return %r : tensor<?x4xf32>
}
