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

// -----

// Attention: where rows are not alone in their sequences, another kernel appends them first, and all threads meet; a
// thread takes every threads-th unit; the chunks of few long rows are merged behind a barrier.
// CHECK:      llvm.func @llmc_step_x86_64_v3(%[[B:.*]]: !llvm.ptr, %[[T:.*]]: i64, %[[N:.*]]: i64)
// CHECK:      llvm.call @llmc_step_barrier
// CHECK:      llvm.cond_br %{{.*}}, ^[[ATTEND:bb[0-9]+]], ^[[APPEND:bb[0-9]+]]
// CHECK:      ^[[APPEND]]:
// CHECK:      llvm.call @kernel_append
// CHECK-NEXT: llvm.call @llmc_step_barrier(%[[B]], %[[T]], %[[N]])
// CHECK:      ^[[ATTEND]]:
// CHECK:      llvm.store %[[N]],
// CHECK:      llvm.call @kernel_attend
// CHECK-NEXT: llvm.cond_br %{{.*}}, ^[[MERGE:bb[0-9]+]], ^[[DONE:bb[0-9]+]]
// CHECK:      ^[[MERGE]]:
// CHECK-NEXT: llvm.call @llmc_step_barrier
// CHECK:      llvm.call @kernel_attend
// CHECK-NEXT: llvm.br ^[[DONE]]
// A window within a chunk is never split. Here another kernel takes steps of many rows.
// CHECK:      ^[[DONE]]:
// CHECK:      llvm.call @kernel_append
// CHECK:      llvm.cond_br %{{.*}}, ^[[LESS:bb[0-9]+]], ^[[MORE:bb[0-9]+]]
// CHECK:      ^[[ATTENDED:bb[0-9]+]]:
// CHECK-NEXT: llvm.return
// CHECK:      ^[[LESS]]:
// CHECK-NEXT: llvm.call @kernel_windowed
// CHECK-NEXT: llvm.br ^[[ATTENDED]]
// CHECK:      ^[[MORE]]:
// CHECK-NEXT: llvm.call @kernel_many
// CHECK-NEXT: llvm.br ^[[ATTENDED]]
kernel.func @qkv family matmul row "matmul_wf32a32_m1_avx2" rows 1 to 9 block 1 #kernel.matmul<n = 48, k = 16, w = <kind = f32>, x_stride = 64, y_stride = 256>
kernel.func @append family kv_append row "kv_append_avx2" rows 1 to 9 block 1 #kernel.attention<heads = 2, kv_heads = 2, head_dim = 8, kv = "f32", scale = 1.0, page_bytes = 8192, qkv_stride = 256, y_stride = 64>
kernel.func @attend family attention row "attention_f32_avx2" rows 1 to 9 block 8 #kernel.attention<heads = 2, kv_heads = 2, head_dim = 8, kv = "f32", scale = 1.0, page_bytes = 8192, qkv_stride = 256, y_stride = 64>
kernel.func @windowed family attention row "attention_f32_avx2" rows 1 to 9 block 8 #kernel.attention<heads = 2, kv_heads = 2, head_dim = 8, kv = "f32", scale = 1.0, page_bytes = 8192, qkv_stride = 256, y_stride = 64, window = 256>
kernel.func @many family attention row "attention_f32_avx2" rows 10 to 99 block 8 #kernel.attention<heads = 2, kv_heads = 2, head_dim = 8, kv = "f32", scale = 1.0, page_bytes = 8192, qkv_stride = 256, y_stride = 64, window = 256>
wq.packed @w : tensor<48x16x!wq.packed<<kind = f32>>> at 4096 size 4096
func.func @step() -> tensor<?x16xf32> {
  %w = wq.get_packed @w : tensor<48x16x!wq.packed<<kind = f32>>>
  %a = kernel.alloc row_bytes 64 offset 0 : tensor<?x16xf32>
  %x = kernel.call [@qkv](%a, %w) ["x", "w"] over panels 1 row_bytes 256 offset 64 : (tensor<?x16xf32>, tensor<48x16x!wq.packed<<kind = f32>>>) -> tensor<?x48xf32>
  kernel.barrier few|tiles|rows
  %y = kernel.call [@attend](%x) ["qkv"] over blocks 2 append @append row_bytes 64 offset 320 : (tensor<?x48xf32>) -> tensor<?x16xf32>
  %z = kernel.call [@windowed, @many](%x) ["qkv"] over blocks 2 append @append row_bytes 64 offset 384 : (tensor<?x48xf32>) -> tensor<?x16xf32>
  return %z : tensor<?x16xf32>
}

// -----

// Experts: kernels for steps of few rows and of many by a select, the runtime deals panels. Two units of each row: twice
// the rows.
// CHECK:      llvm.func @llmc_step_experts(!llvm.ptr, i64, i64)
// CHECK:      llvm.func @llmc_step_x86_64_v3(%{{.*}}: !llvm.ptr, %[[T:.*]]: i64, %[[N:.*]]: i64)
// CHECK:      %[[TWO:.*]] = llvm.mlir.constant(2 : i64)
// CHECK-NEXT: llvm.mul %{{.*}}, %[[TWO]]
// CHECK:      %[[ONE:.*]] = llvm.mlir.addressof @kernel_one
// CHECK:      %[[MANY:.*]] = llvm.mlir.addressof @kernel_many
// CHECK:      llvm.select %{{.*}}, %[[ONE]], %[[MANY]]
// CHECK:      llvm.call @llmc_step_experts(%{{.*}}, %[[T]], %[[N]])
kernel.func @gather family rowwise row "rowwise_any_portable" rows 1 to 9 block 1 #kernel.rowwise<op = "MoeGather", columns = 8, x_stride = 64, y_stride = 64>
kernel.func @one family matmul row "matmul_wf32a32_m1_avx2" rows 1 to 1 block 1 #kernel.matmul<n = 64, k = 8, w = <kind = f32>, x_stride = 64, y_stride = 256>
kernel.func @many family matmul row "matmul_wf32a32_large_avx2" rows 2 to 9 block 1 #kernel.matmul<n = 64, k = 8, w = <kind = f32>, x_stride = 64, y_stride = 256>
wq.packed @w : tensor<128x8x!wq.packed<<kind = f32>>> at 4096 size 4096
func.func @step() -> tensor<?x64xf32> {
  %w = wq.get_packed @w : tensor<128x8x!wq.packed<<kind = f32>>>
  %x = kernel.call [@gather]() [] over rows 1 row_bytes 128 offset 0 {rows_each = 2 : i64} : () -> tensor<?x8xf32>
  %y = kernel.call [@one, @many](%x, %w, %x) ["x", "w", "plan"] over experts 1 row_bytes 512 offset 128 {experts = 2 : i64, few_callees = 1 : i64, rows_each = 2 : i64} : (tensor<?x8xf32>, tensor<128x8x!wq.packed<<kind = f32>>>, tensor<?x8xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
