// RUN: llmc-opt %s --split-input-file --llmc-choose-row-formats=target=znver5 | FileCheck %s
// RUN: llmc-opt %s --split-input-file --llmc-choose-row-formats=target=haswell --remarks-filter=refusal --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REFUSAL

!i4 = tensor<32x32x!wq.quant<<kind = i4, group = 32>>>

// One quantised input for both projections; a float weight keeps f32 rows, the head has 16-bit rows.
// CHECK-LABEL: func.func @step
// CHECK:       %[[Q:.*]] = wq.quantize_rows %arg0
// CHECK:       %[[A:.*]] = wq.linear %[[Q]], %arg1
// CHECK:       %[[B:.*]] = wq.linear %[[Q]], %arg1
// CHECK:       %[[C:.*]] = llm.add %[[A]], %[[B]]
// CHECK:       %[[D:.*]] = wq.linear %[[C]], %arg2
// CHECK:       %[[E:.*]] = llm.add %[[D]], %[[D]]
// CHECK:       %[[H:.*]] = wq.quantize_rows %[[E]] : {{.*}} -> tensor<?x32x!wq.rows<<kind = bf16, order = i4>, <kind = bf16, order = i4>>>
// CHECK:       wq.linear %[[H]], %arg1
module attributes {wq.compute = "int8"} {
  func.func @step(%x: tensor<?x32xf32>, %w: !i4, %f: tensor<32x32xf16>) -> tensor<?x32xf32> {
    %a = wq.linear %x, %w : tensor<?x32xf32>, !i4 -> tensor<?x32xf32>
    %b = wq.linear %x, %w : tensor<?x32xf32>, !i4 -> tensor<?x32xf32>
    %c = llm.add %a, %b : tensor<?x32xf32>
    %d = wq.linear %c, %f : tensor<?x32xf32>, tensor<32x32xf16> -> tensor<?x32xf32>
    %e = llm.add %d, %d : tensor<?x32xf32>
    %y = wq.linear %e, %w : tensor<?x32xf32>, !i4 -> tensor<?x32xf32>
    return %y : tensor<?x32xf32>
  }
}

// -----

!i4 = tensor<32x32x!wq.quant<<kind = i4, group = 32>>>

// CHECK-LABEL: func.func @float_mode
// CHECK-NOT:   wq.quantize_rows
module attributes {wq.compute = "f32"} {
  func.func @float_mode(%x: tensor<?x32xf32>, %w: !i4) -> tensor<?x32xf32> {
    %a = wq.linear %x, %w : tensor<?x32xf32>, !i4 -> tensor<?x32xf32>
    %c = llm.add %a, %a : tensor<?x32xf32>
    return %c : tensor<?x32xf32>
  }
}

// -----

!i4 = tensor<32x32x!wq.quant<<kind = i4, group = 32>>>

// A target whose kernels take no such rows keeps f32 rows and says so.
// CHECK-LABEL: func.func @no_kernel
// CHECK-NOT:   wq.quantize_rows
// REFUSAL:     remark: {{.*}}no kernel of haswell takes f16 rows with w4g32 weights; f32 rows are used
module attributes {wq.compute = "f16"} {
  func.func @no_kernel(%x: tensor<?x32xf32>, %w: !i4) -> tensor<?x32xf32> {
    %a = wq.linear %x, %w : tensor<?x32xf32>, !i4 -> tensor<?x32xf32>
    %c = llm.add %a, %a : tensor<?x32xf32>
    return %c : tensor<?x32xf32>
  }
}
