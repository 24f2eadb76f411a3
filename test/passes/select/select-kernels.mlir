// RUN: llmc-opt %s --split-input-file "--llmc-select-kernels=target=icelake-server kv-type=f16" | FileCheck %s
// RUN: llmc-opt %s --split-input-file "--llmc-select-kernels=target=haswell kv-type=f32" | FileCheck %s --check-prefix=AVX2
// RUN: llmc-opt %s --split-input-file "--llmc-select-kernels=target=znver4 kv-type=int8" | FileCheck %s --check-prefix=INT8
// RUN: llmc-opt %s --split-input-file "--llmc-select-kernels=target=znver5 kv-type=f16" | FileCheck %s --check-prefix=ROUNDED
// RUN: not llmc-opt %s --split-input-file "--llmc-select-kernels=target=znver4 kv-type=i3" 2>&1 | FileCheck %s --check-prefix=KV
// RUN: llmc-opt %s --split-input-file "--llmc-select-kernels=target=aarch64" | FileCheck %s --check-prefix=PORTABLE
// RUN: llmc-opt %s --split-input-file --llmc-select-kernels=target=icelake-server --remarks-filter=refusal --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REFUSAL
// RUN: not llmc-opt %s --split-input-file --llmc-select-kernels=target=z80 2>&1 | FileCheck %s --check-prefix=TARGET

!w = tensor<192x64x!wq.packed<<kind = i4, group = 32>>>

// A class of kernels for each range of rows; attention of all of them, with the kernel that appends before it where it
// has to; pages hold both layers. int8: a page is K, scales, V, scales for each of four heads.
// KV: kv-type: found 'i3', expected f32, f16, bf16 or int8
// INT8: kernel.kv_bits = 8 : i64, kernel.page_bytes = 10240
// INT8: family attention row "attention_int8_avx512vnni"{{.*}} block 32 {{.*}}kv = "int8"
// INT8: kernel.call [@attention_int8_avx512vnni_0]
// TARGET: target: found 'z80', expected native or one of
// REFUSAL: remark: {{.*}}matmul_{{.*}}rows
// CHECK: module attributes {{.*}}kernel.kv_bits = 16 : i64, kernel.page_bytes = 16384 : i64, kernel.partial_bytes = 512
// CHECK-DAG: kernel.func @matmul_w4a8_m1_avx512vnni_0 family matmul {{.*}} rows 1 to 1
// CHECK-DAG: kernel.func @matmul_w4a8_small_avx512vnni_0 family matmul {{.*}} rows 2 to 6
// CHECK-DAG: kernel.func @matmul_w4a8_large_avx512vnni_0 family matmul {{.*}} rows 32 to
// CHECK: kernel.call [@rowwise_rmsnorm_avx512_0]
// CHECK: kernel.call [@matmul_w4a8_m1_avx512vnni_0, @matmul_w4a8_small_avx512vnni_0, @matmul_w4a8_medium_avx512vnni_0, @matmul_w4a8_large_avx512vnni_0]
// CHECK-SAME: over {{ *}}panels 3
// CHECK: kernel.call [@attention_f32_avx512_0]
// CHECK-SAME: ["qkv"] over {{ *}}blocks 4 append @kv_append_avx512_0
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

// -----

// What changes the scores is in the descriptor; sinks are an operand of their own; rows may be q8.
// CHECK: #kernel.attention<{{.*}}window = 7, alibi = true, softcap = 3.000000e+01, sinks = true, q8_out = true>
// CHECK: kernel.call [@attention_f32_avx512_0](%{{.*}}, %{{.*}}) ["qkv", "sinks"]
module {
  wq.packed @s : tensor<2x!wq.packed<<kind = f32>>> at 0 size 256
  wq.packed @w : tensor<192x64x!wq.packed<<kind = f32>>> at 4096 size 49152
  func.func @step(%x: tensor<?x192xf32>, %t: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x64x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>> {
    %s = wq.get_packed @s : tensor<2x!wq.packed<<kind = f32>>>
    %w = wq.get_packed @w : tensor<192x64x!wq.packed<<kind = f32>>>
    %e = llm.embed %t, %w : tensor<192x64x!wq.packed<<kind = f32>>> -> tensor<?x64xf32>
    %b = wq.linear %e, %w : tensor<?x64xf32>, tensor<192x64x!wq.packed<<kind = f32>>> -> tensor<?x192xf32>
    %c = llm.attention_kv %b, %p sinks %s : tensor<2x!wq.packed<<kind = f32>>> {layer = 0 : i64, heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32, window = 7 : i64, alibi, softcap = 30.0 : f32} : tensor<?x192xf32> -> tensor<?x64x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
    return %c : tensor<?x64x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>
  }
}

// -----

// Where activations are rounded to 8 bits, steps of many rows take bf16 products of an f16 cache; else none do.
// ROUNDED-NOT: bf16
// ROUNDED: wq.compute = "int8"
// ROUNDED: kernel.func @attention_f32_avx512_0 family attention row "attention_f32_avx512" rows 1 to 6 {{.*}}bf16 = true
// ROUNDED: kernel.func @attention_f16_avx512bf16_0 family attention row "attention_f16_avx512bf16" rows 7 to
// ROUNDED: kernel.call [@attention_f32_avx512_0, @attention_f16_avx512bf16_0]
module attributes {wq.compute = "int8"} {
  wq.packed @w : tensor<192x64x!wq.packed<<kind = f32>>> at 4096 size 49152
  func.func @step(%x: tensor<?x192xf32>, %t: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x64xf32> {
    %w = wq.get_packed @w : tensor<192x64x!wq.packed<<kind = f32>>>
    %e = llm.embed %t, %w : tensor<192x64x!wq.packed<<kind = f32>>> -> tensor<?x64xf32>
    %b = wq.linear %e, %w : tensor<?x64xf32>, tensor<192x64x!wq.packed<<kind = f32>>> -> tensor<?x192xf32>
    %c = llm.attention_kv %b, %p {layer = 0 : i64, heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<?x192xf32> -> tensor<?x64xf32>
    return %c : tensor<?x64xf32>
  }
}
