// RUN: llmc-opt %s --llmc-select-kernels=target=icelake-server | FileCheck %s

!up = tensor<64x32x!wq.packed<<kind = i4, group = 32>>>
!down = tensor<32x32x!wq.packed<<kind = i4, group = 32>>>
!q = tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>

// The GLU is the epilogue of its linear. What it writes in steps of few rows is read as it is, the rest is quantised.
// CHECK:       kernel.func @matmul_w4a8_m1_{{.*}}glu = true, y_few = <kind = q8, block = 32>, x_stride
// CHECK:       %[[G:.*]] = kernel.call [@matmul_w4a8_m1_{{.*}}over {{ *}}panels 1
// CHECK:       %[[M:.*]] = kernel.call [@rowwise_{{.*}}(%[[G]]) {{.*}}many
// CHECK:       %[[R:.*]] = kernel.by_rows %[[G]], %[[M]]
// CHECK:       kernel.call [@matmul_w4a8_m1_{{.*}}(%[[R]],
module {
  wq.packed @up : !up at 0 size 2304
  wq.packed @down : !down at 4096 size 2304
  func.func @step(%x: !q) -> tensor<?x32xf32> {
    %u = wq.get_packed @up : !up
    %d = wq.get_packed @down : !down
    %g = llm.glu_linear %x, %u {activation = #llm.activation<silu>} : !q, !up -> tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = f32>>>
    %h = wq.quantize_rows %g : tensor<?x32x!wq.rows<<kind = q8, block = 32>, <kind = f32>>> -> !q
    %y = wq.linear %h, %d : !q, !down -> tensor<?x32xf32>
    return %y : tensor<?x32xf32>
  }
}
