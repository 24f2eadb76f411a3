// RUN: llmc-opt %s --split-input-file --llmc-lower-to-llvm=target=x86-64-v3 --verify-diagnostics | FileCheck %s

// The share of the thread, the argument structure, the kernel for the row count; the runtime deals panels. A barrier for
// some modes is under a condition.
// CHECK: llvm.func @kernel_norm(!llvm.ptr)
// CHECK-DAG: llvm.func @kernel_one(!llvm.ptr)
// CHECK-DAG: llvm.func @kernel_many(!llvm.ptr)
// CHECK: llvm.func @llmc_step_barrier(!llvm.ptr, i64, i64)
// CHECK: llvm.func @llmc_step_panels(!llvm.ptr, i64, i64, i64)
// CHECK: llvm.func @llmc_step_x86_64_v3(%[[B:.*]]: !llvm.ptr, %[[T:.*]]: i64, %[[N:.*]]: i64) attributes {llmc.step}
// CHECK: llvm.mul {{.*}}, %[[T]]
// CHECK: llvm.udiv {{.*}}, %[[N]]
// CHECK: llvm.cond_br
// CHECK: llvm.shl
// CHECK: llvm.call @llmc_step_barrier(%[[B]], %[[T]], %[[N]])
// CHECK: llvm.call @llmc_step_barrier(%[[B]], %[[T]], %[[N]])
// CHECK-DAG: llvm.mlir.addressof @kernel_one
// CHECK-DAG: llvm.mlir.addressof @kernel_many
// CHECK: llvm.call @llmc_step_panels({{.*}}, %[[T]], %[[N]])
// CHECK-NOT: func.func @step
kernel.func @norm family rowwise row "rowwise_rmsnorm_avx2" rows 1 to 9 block 1 #kernel.rowwise<op = "RmsNorm", columns = 8, x_stride = 64, y_stride = 64>
kernel.func @one family matmul row "matmul_wf32a32_m1_avx2" rows 1 to 1 block 1 #kernel.matmul<n = 8, k = 8, w = <kind = f32>, x_stride = 64, y_stride = 256>
kernel.func @many family matmul row "matmul_wf32a32_large_avx2" rows 2 to 9 block 1 #kernel.matmul<n = 8, k = 8, w = <kind = f32>, x_stride = 64, y_stride = 256>
wq.packed @w : tensor<8x8x!wq.packed<<kind = f32>>> at 4096 size 2048
func.func @step() -> tensor<?x8xf32> {
  %w = wq.get_packed @w : tensor<8x8x!wq.packed<<kind = f32>>>
  %x = kernel.call [@norm](%w) ["w"] over rows 1 row_bytes 64 offset 0 : (tensor<8x8x!wq.packed<<kind = f32>>>) -> tensor<?x8xf32>
  kernel.barrier tiles|rows
  kernel.barrier few|tiles|rows
  %y = kernel.call [@one, @many](%x, %w) ["x", "w"] over panels 1 row_bytes 256 offset 64 : (tensor<?x8xf32>, tensor<8x8x!wq.packed<<kind = f32>>>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @step(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{expects kernel calls only: run select-kernels first}}
  %y = llm.add %x, %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
