// RUN: llmc-opt %s --llmc-select-kernels=target=icelake-server --llmc-replicate-rows | FileCheck %s

!up = tensor<256x64x!wq.packed<<kind = i4, group = 32>>>
!down = tensor<256x32x!wq.packed<<kind = i4, group = 32>>>
!rows = !wq.rows<<kind = q8, block = 32>, <kind = f32>>
!q = tensor<?x64x!rows>

// Choice, plan and gathered rows are every thread's own where rows are few; an expert's kernel is chosen by its rows: two
// for few rows, whose x is q8, three for many, whose x is f32 also where an expert has one row. The sums go to the
// residual.
// CHECK-DAG: kernel.func @[[F1:matmul_w4a8_m1_avx512vnni_0]] {{.*}} rows 1 to 1 {{.*}}n = 64, k = 64, {{.*}}glu = true
// CHECK-DAG: kernel.func @[[M1:matmul_w4a32_m1_avx512_0]] {{.*}} rows 1 to 1 {{.*}}n = 64, k = 64, {{.*}}glu = true
// CHECK:     %[[C:.*]] = kernel.call [@{{.*}}](%arg1) ["x"] over {{ *}}rows 1 row_bytes 64 {replicated}
// CHECK:     %[[P:.*]] = kernel.call [@{{.*}}](%[[C]]) ["x"] over {{ *}}blocks 1 row_bytes 128 {replicated}
// CHECK:     %[[X:.*]] = kernel.call [@{{.*}}](%arg0, %[[P]]) ["x", "w"] over {{ *}}rows 1 row_bytes 768 {replicated, rows_each = 2 : i64}
// CHECK:     %[[H:.*]] = kernel.call [@[[F1]], @{{.*}}, @[[M1]], @{{.*}}, @{{.*}}](%[[X]], %{{.*}}, %[[P]]) ["x", "w", "plan"] over {{ *}}experts 1 row_bytes 512 {experts = 4 : i64, few_callees = 2 : i64, rows_each = 2 : i64}
// CHECK:     %[[Y:.*]] = kernel.call [{{.*}}](%[[H]], %{{.*}}, %[[P]]) ["x", "w", "plan"] over {{ *}}experts 1 {{.*}}experts = 4 : i64
// CHECK:     %[[Z:.*]] = kernel.call [@{{.*}}](%[[Y]], %[[C]], %[[P]], %arg2) ["x", "w", "b", "y"] over {{ *}}rows 1 tied 3
// CHECK:     return %[[Z]]
module {
  wq.packed @up : !up at 0 size 9216
  wq.packed @down : !down at 12288 size 4608
  func.func @step(%x: !q, %l: tensor<?x4xf32>, %r: tensor<?x64xf32>) -> tensor<?x64xf32> {
    %u = wq.get_packed @up : !up
    %d = wq.get_packed @down : !down
    %y = llm.experts %x, %u, %d by %l residual %r : tensor<?x64xf32> {activation = #llm.activation<silu>, hidden = f32, k = 2 : i64} : !q, !up, !down, tensor<?x4xf32> -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
}
