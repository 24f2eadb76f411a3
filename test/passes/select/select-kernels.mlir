// RUN: llmc-opt %s --split-input-file "--llmc-select-kernels=target=icelake-server kv-type=f16" | FileCheck %s
// RUN: llmc-opt %s --split-input-file "--llmc-select-kernels=target=haswell kv-type=f32" | FileCheck %s --check-prefix=AVX2
// RUN: llmc-opt %s --split-input-file "--llmc-select-kernels=target=aarch64" | FileCheck %s --check-prefix=PORTABLE
// RUN: llmc-opt %s --split-input-file --llmc-select-kernels=target=icelake-server --remarks-filter=refusal --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REFUSAL
// RUN: not llmc-opt %s --split-input-file --llmc-select-kernels=target=z80 2>&1 | FileCheck %s --check-prefix=TARGET

!w = tensor<192x64x!wq.packed<<kind = i4, group = 32>>>

// A class of kernels for each range of rows; the cache is appended to in place, then read; pages hold both layers.
// TARGET: target: found 'z80', expected native or one of
// REFUSAL: remark: {{.*}}matmul_{{.*}}rows
// CHECK: module attributes {{.*}}kernel.kv_bits = 16 : i64, kernel.page_bytes = 16384
// CHECK-DAG: kernel.func @matmul_w4a8_m1_avx512vnni_0 family matmul {{.*}} rows 1 to 1
// CHECK-DAG: kernel.func @matmul_w4a8_small_avx512vnni_0 family matmul {{.*}} rows 2 to 6
// CHECK-DAG: kernel.func @matmul_w4a8_large_avx512vnni_0 family matmul {{.*}} rows 7 to
// CHECK: kernel.call [@rowwise_rmsnorm_avx512_0]
// CHECK: kernel.call [@matmul_w4a8_m1_avx512vnni_0, @matmul_w4a8_small_avx512vnni_0, @matmul_w4a8_large_avx512vnni_0]
// CHECK-SAME: over {{ *}}panels 3
// CHECK: kernel.call [@kv_append_avx512_0]{{.*}} tied 0
// CHECK: kernel.call [@attention_{{.*}}avx512_0, @attention_{{.*}}avx512_{{[01]}}]
// CHECK-SAME: over {{ *}}blocks 4
// AVX2: kernel.kv_bits = 32
// AVX2: kernel.call [@matmul_w4a8_m1_avx2_0
// PORTABLE: kernel.call [@{{[a-z_]*}}portable_0]
// PORTABLE-NOT: avx
module {
  wq.packed @n : tensor<64x!wq.packed<<kind = f32>>> at 0 size 256
  wq.packed @w : !w at 4096 size 6912
  func.func @step(%x: tensor<?x192xf32>, %t: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x64xf32> {
    %n = wq.get_packed @n : tensor<64x!wq.packed<<kind = f32>>>
    %w = wq.get_packed @w : !w
    %e = wq.get_packed @w : !w
    %h = llm.embed %t, %e : !w -> tensor<?x64xf32>
    %a = llm.rms_norm %h, %n {epsilon = 1.0e-05 : f32} : tensor<?x64xf32>, tensor<64x!wq.packed<<kind = f32>>> -> tensor<?x64x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
    %b = wq.linear %a, %w : tensor<?x64x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>, !w -> tensor<?x192xf32>
    %c = llm.attention_kv %b, %p {layer = 0 : i64, heads = 4 : i64, kv_heads = 4 : i64, head_dim = 16 : i64, scale = 0.25 : f32} : tensor<?x192xf32> -> tensor<?x64xf32>
    return %c : tensor<?x64xf32>
  }
}
