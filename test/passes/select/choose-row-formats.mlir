// RUN: llmc-opt %s --split-input-file --llmc-choose-row-formats=target=znver5 | FileCheck %s
// RUN: llmc-opt %s --split-input-file --llmc-choose-row-formats=target=haswell --remarks-filter=refusal --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REFUSAL
// RUN: llmc-opt %s --split-input-file --llmc-choose-row-formats=target=sapphirerapids | FileCheck %s --check-prefix=TILES

!i4 = tensor<32x32x!wq.quant<<kind = i4, group = 32>>>

// One quantised input for both projections; a float weight keeps f32 rows, the head has 16-bit rows.
// CHECK-LABEL: func.func @step
// CHECK:       %[[Q:.*]] = wq.quantize_rows %arg0
// CHECK:       %[[A:.*]] = wq.linear %[[Q]], %arg1
// CHECK:       %[[B:.*]] = wq.linear %[[Q]], %arg1
// CHECK:       %[[C:.*]] = llm.add %[[A]], %[[B]]
// CHECK:       %[[D:.*]] = wq.linear %[[C]], %arg2
// CHECK:       %[[E:.*]] = llm.add %[[D]], %[[D]]
// CHECK:       %[[H:.*]] = wq.quantize_rows %[[E]] : {{.*}} -> tensor<?x32x!wq.rows<<kind = bf16, order = i4>, <kind = q8, block = 32>>>
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

// -----

!up = tensor<64x64x!wq.quant<<kind = i4, group = 32>>>
!down = tensor<64x32x!wq.quant<<kind = i4, group = 32>>>
!router = tensor<1x64x!wq.quant<<kind = i4, group = 32>>>

// Experts read quantised rows, also between their two matrices; what chooses among them does not.
// CHECK-LABEL: func.func @experts
// CHECK-DAG:   %[[Q:.*]] = wq.quantize_rows %arg0
// CHECK-DAG:   %[[L:.*]] = wq.linear %arg0, %arg3
// CHECK:       llm.experts %[[Q]], %arg1, %arg2 by %[[L]] {{.*}}hidden = !wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>
module attributes {wq.compute = "int8-requantised"} {
  func.func @experts(%x: tensor<?x64xf32>, %u: !up, %d: !down, %r: !router) -> tensor<?x64xf32> {
    %l = wq.linear %x, %r : tensor<?x64xf32>, !router -> tensor<?x1xf32>
    %y = llm.experts %x, %u, %d by %l {activation = #llm.activation<silu>, hidden = f32, k = 1 : i64} : tensor<?x64xf32>, !up, !down, tensor<?x1xf32> -> tensor<?x64xf32>
    %z = llm.add %y, %y : tensor<?x64xf32>
    return %z : tensor<?x64xf32>
  }
}

// -----

!i4 = tensor<256x1024x!wq.quant<<kind = i4, group = 32>>>

// Requantised for many rows where a kernel of the target does that and gains by it; else a scale per group, as in int8.
// CHECK-LABEL: func.func @requantised
// CHECK:       wq.quantize_rows %arg0 : {{.*}}q8, block = 256
// CHECK:       wq.linear {{.*}}wq.requantise
// TILES-LABEL: func.func @requantised
// TILES:       wq.quantize_rows %arg0 : {{.*}}q8, block = 256
// TILES:       wq.linear {{.*}}wq.requantise
// REFUSAL:     remark: {{.*}}no kernel of haswell requantises w4g32 weights at a gain; their exact group scales are used
module attributes {wq.compute = "int8-requantised"} {
  func.func @requantised(%x: tensor<?x1024xf32>, %w: !i4) -> tensor<?x256xf32> {
    %a = wq.linear %x, %w : tensor<?x1024xf32>, !i4 -> tensor<?x256xf32>
    %c = llm.add %a, %a : tensor<?x256xf32>
    return %c : tensor<?x256xf32>
  }
}

// -----

!i4 = tensor<256x1024x!wq.quant<<kind = i4, group = 1024>>>

// One scale per column is what requantising would make: nothing to refuse.
// REFUSAL-NOT: remark
module attributes {wq.compute = "int8-requantised"} {
  func.func @per_column(%x: tensor<?x1024xf32>, %w: !i4) -> tensor<?x256xf32> {
    %a = wq.linear %x, %w : tensor<?x1024xf32>, !i4 -> tensor<?x256xf32>
    %c = llm.add %a, %a : tensor<?x256xf32>
    return %c : tensor<?x256xf32>
  }
}
