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

// CHECK-LABEL: func.func @another_use
// CHECK:       wq.quantize_rows
func.func @another_use(%x: tensor<?x8xf32>, %n: tensor<8xf32>) -> (tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>, tensor<?x8xf32>) {
  %y = llm.rms_norm %x, %n {epsilon = 1.0e-05 : f32} : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  // expected-remark @below {{the f32 rows have another use}}
  %a = wq.quantize_rows %y : tensor<?x8xf32> -> tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
  return %a, %y : tensor<?x8x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>, tensor<?x8xf32>
}
