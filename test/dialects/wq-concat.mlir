// RUN: llmc-opt %s --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func @turns
// CHECK: wq.concat %arg0, %arg0 {interleave = 32 : i64} : tensor<40x8xf32>, tensor<40x8xf32> -> tensor<128x8xf32>
// CHECK: wq.concat %arg0, %arg0 : tensor<40x8xf32>, tensor<40x8xf32> -> tensor<80x8xf32>
func.func @turns(%w: tensor<40x8xf32>) -> (tensor<128x8xf32>, tensor<80x8xf32>) {
  %a = wq.concat %w, %w {interleave = 32 : i64} : tensor<40x8xf32>, tensor<40x8xf32> -> tensor<128x8xf32>
  %b = wq.concat %w, %w : tensor<40x8xf32>, tensor<40x8xf32> -> tensor<80x8xf32>
  return %a, %b : tensor<128x8xf32>, tensor<80x8xf32>
}

// -----

func.func @size(%w: tensor<40x8xf32>) {
  // expected-error @below {{has 128 rows, its result 80}}
  %a = wq.concat %w, %w {interleave = 32 : i64} : tensor<40x8xf32>, tensor<40x8xf32> -> tensor<80x8xf32>
  return
}

// -----

func.func @parts(%w: tensor<40x8xf32>, %v: tensor<32x8xf32>) {
  // expected-error @below {{takes turns of parts with 40 and 32 rows}}
  %a = wq.concat %w, %v {interleave = 32 : i64} : tensor<40x8xf32>, tensor<32x8xf32> -> tensor<96x8xf32>
  return
}

// -----

func.func @encoded(%w: tensor<40x32x!wq.encoded<encoding = q4_0>>) {
  // expected-error @below {{pads encoded rows: found 40, expected a multiple of 32}}
  %a = wq.concat %w, %w {interleave = 32 : i64} : tensor<40x32x!wq.encoded<encoding = q4_0>>, tensor<40x32x!wq.encoded<encoding = q4_0>> -> tensor<128x32x!wq.encoded<encoding = q4_0>>
  return
}

// -----

func.func @negative(%w: tensor<32x8xf32>) {
  // expected-error @below {{has turns of -1 rows}}
  %a = wq.concat %w {interleave = -1 : i64} : tensor<32x8xf32> -> tensor<32x8xf32>
  return
}
