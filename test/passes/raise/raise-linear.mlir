// RUN: llmc-opt %s --llmc-raise-linear --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s

// CHECK: llm.weight @model.layers.0.self_attn.o_proj.weight : tensor<32x16xf16> [#llm.storage<1, 0, 1024>] {transposed}
// CHECK-LABEL: func @step
// CHECK:         %[[X:.*]] = builtin.unrealized_conversion_cast %arg0 : tensor<?x?x16xf16> to tensor<?x16xf32>
// CHECK:         %[[Y:.*]] = llm.linear %[[X]], %{{.*}} : tensor<?x16xf32>, tensor<32x16xf16> -> tensor<?x32xf32>
// CHECK:         builtin.unrealized_conversion_cast %[[Y]] : tensor<?x32xf32> to tensor<?x?x32xf16>
func.func @step(%x: tensor<?x?x16xf16>) -> tensor<?x?x32xf16> {
  %w = llm.onnx_tensor "model.layers.0.attn.o_proj.MatMul.weight" <1, 0, 1024> : tensor<16x32xf16>
  %y = llm.onnx_node "MatMul" domain "" opset 21(%x, %w) {} : (tensor<?x?x16xf16>, tensor<16x32xf16>) -> tensor<?x?x32xf16>
  return %y : tensor<?x?x32xf16>
}

// -----

// A module's path names a weight whose tensor has an invented name.
// CHECK: llm.weight @model.layers.0.mlp.up_proj.weight : tensor<32x16xf32>
// CHECK: llm.weight @model.layers.0.mlp.up_proj.bias : tensor<32xf32>
// CHECK-LABEL: func @step
// CHECK:         llm.linear %{{.*}}, %{{.*}} bias %{{.*}} : tensor<32xf32>
func.func @step(%x: tensor<?x?x16xf32>) -> tensor<?x?x32xf32> {
  %w = llm.onnx_tensor "onnx::MatMul_12" <0, 0, 2048> : tensor<16x32xf32>
  %b = llm.onnx_tensor "model.layers.0.mlp.up_proj.bias" <0, 2048, 128> : tensor<32xf32>
  %y = llm.onnx_node "MatMul" domain "" opset 21(%x, %w) {} : (tensor<?x?x16xf32>, tensor<16x32xf32>) -> tensor<?x?x32xf32> loc("/model/layers.0/mlp/up_proj/MatMul")
  %z = llm.onnx_node "Add" domain "" opset 21(%b, %y) {} : (tensor<32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
  return %z : tensor<?x?x32xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK:         llm.onnx_node "MatMul"
// CHECK-SAME:    llm.refusal
func.func @step(%x: tensor<?x?x16xf32>, %w: tensor<16x32xf32>) -> tensor<?x?x32xf32> {
  // expected-remark @below {{the weight is not a float initialiser of two axes, or one that is dequantised}}
  %y = llm.onnx_node "MatMul" domain "" opset 21(%x, %w) {} : (tensor<?x?x16xf32>, tensor<16x32xf32>) -> tensor<?x?x32xf32>
  return %y : tensor<?x?x32xf32>
}

// -----

// CHECK: llm.weight @lm_head.weight : tensor<8x48x!wq.encoded<encoding = matmul_nbits, bits = 4, block = 32, scale = bf16, zero_points = true>>
// CHECK-SAME: [#llm.storage<1, 0, 256>, #llm.storage<1, 256, 32>, #llm.storage<1, 288, 8>]
// CHECK-LABEL: func @step
// CHECK:         llm.linear
func.func @step(%x: tensor<?x?x48xf32>) -> tensor<?x?x8xf32> {
  %b = llm.onnx_tensor "lm_head.MatMul.weight_Q4G32" <1, 0, 256> : tensor<8x2x16xui8>
  %s = llm.onnx_tensor "lm_head.MatMul.weight_scale" <1, 256, 32> : tensor<8x2xbf16>
  %z = llm.onnx_tensor "lm_head.MatMul.weight_zp" <1, 288, 8> : tensor<8x1xui8>
  %y = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b, %s, %z) {K = 48 : i64, N = 8 : i64, bits = 4 : i64, block_size = 32 : i64, accuracy_level = 4 : i64}
    : (tensor<?x?x48xf32>, tensor<8x2x16xui8>, tensor<8x2xbf16>, tensor<8x1xui8>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

// 2 bits, float zero points (HQQ), and K in another order.
// CHECK-DAG: llm.weight @b2.weight : tensor<8x32x!wq.encoded<encoding = matmul_nbits, bits = 2, block = 32, scale = f32>>
// CHECK-DAG: llm.weight @b.weight : tensor<8x32x!wq.encoded<encoding = matmul_nbits, bits = 4, block = 32, scale = f32, zero_points = true, float_zeros = true>> [#llm.storage<1, 0, 128>, #llm.storage<1, 128, 32>, #llm.storage<1, 160, 32>]
// CHECK-DAG: llm.weight @c.weight : tensor<8x32x!wq.encoded<encoding = matmul_nbits, bits = 4, block = 32, scale = f32, act_order = true>> [#llm.storage<1, 0, 128>, #llm.storage<1, 128, 32>, #llm.storage<1, 200, 128>]
// CHECK-LABEL: func @step
// CHECK-COUNT-3: llm.linear
func.func @step(%x: tensor<?x?x32xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %b = llm.onnx_tensor "b.MatMul.weight_Q4" <1, 0, 128> : tensor<8x1x16xui8>
  %c = llm.onnx_tensor "c.MatMul.weight_Q4" <1, 0, 128> : tensor<8x1x16xui8>
  %b2 = llm.onnx_tensor "b2.MatMul.weight_Q2" <1, 0, 64> : tensor<8x1x8xui8>
  %s = llm.onnx_tensor "s" <1, 128, 32> : tensor<8x1xf32>
  %z = llm.onnx_tensor "z" <1, 160, 32> : tensor<8x1xf32>
  %g = llm.onnx_tensor "g" <1, 200, 128> : tensor<32xi32>
  %none = llm.onnx_none : none
  %0 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b2, %s) {K = 32 : i64, N = 8 : i64, bits = 2 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x8xui8>, tensor<8x1xf32>) -> tensor<?x?x8xf32>
  %1 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b, %s, %z) {K = 32 : i64, N = 8 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x16xui8>, tensor<8x1xf32>, tensor<8x1xf32>) -> tensor<?x?x8xf32>
  %2 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %c, %s, %none, %g) {K = 32 : i64, N = 8 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x16xui8>, tensor<8x1xf32>, none, tensor<32xi32>) -> tensor<?x?x8xf32>
  return %0, %1, %2 : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.linear
func.func @step(%x: tensor<?x?x32xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %b = llm.onnx_tensor "b" <1, 0, 128> : tensor<8x1x16xui8>
  %b512 = llm.onnx_tensor "b512" <1, 0, 2048> : tensor<8x1x256xui8>
  %s = llm.onnx_tensor "s" <1, 128, 32> : tensor<8x1xf32>
  %z = llm.onnx_tensor "z" <1, 160, 16> : tensor<8x1xf16>
  %g = llm.onnx_tensor "g" <1, 200, 120> : tensor<30xi32>
  %none = llm.onnx_none : none
  // expected-remark @below {{MatMulNBits of 5 bits, expected 2, 4 or 8}}
  %0 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b, %s) {K = 32 : i64, N = 8 : i64, bits = 5 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x16xui8>, tensor<8x1xf32>) -> tensor<?x?x8xf32>
  // expected-remark @below {{zero points of neither UINT8 nor the scales' type}}
  %1 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b, %s, %z) {K = 32 : i64, N = 8 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x16xui8>, tensor<8x1xf32>, tensor<8x1xf16>) -> tensor<?x?x8xf32>
  // expected-remark @below {{g_idx of 30 elements, expected K = 32}}
  %2 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b, %s, %none, %g) {K = 32 : i64, N = 8 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x16xui8>, tensor<8x1xf32>, none, tensor<30xi32>) -> tensor<?x?x8xf32>
  // expected-remark @below {{blocks of 512, expected 16 to 256}}
  %3 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b512, %s) {K = 32 : i64, N = 8 : i64, block_size = 512 : i64} : (tensor<?x?x32xf32>, tensor<8x1x256xui8>, tensor<8x1xf32>) -> tensor<?x?x8xf32>
  return %0, %1, %2, %3 : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// Codes [K, N] in blocks along K; a tail block.
// CHECK: llm.weight @b.weight : tensor<24x8x!wq.encoded<encoding = onnx_blocks, bits = 8, block = 16, scale = bf16, is_signed = true>>
// CHECK: llm.weight @model.layers.0.mlp.up_proj.weight : tensor<8x48x!wq.encoded<encoding = onnx_blocks, bits = 4, block = 32, scale = f32, zero_points = true, transposed = true>>
// CHECK-SAME: [#llm.storage<1, 0, 192>, #llm.storage<1, 192, 64>, #llm.storage<1, 256, 8>]
// CHECK-LABEL: func @step
// CHECK:         llm.linear
// CHECK:         llm.linear
func.func @step(%x: tensor<?x?x48xf32>) -> tensor<?x?x24xf32> {
  %w = llm.onnx_tensor "model.layers.0.mlp.up_proj.MatMul.weight_DQ_Q4" <1, 0, 192> : tensor<48x8xui4>
  %s = llm.onnx_tensor "s" <1, 192, 64> : tensor<2x8xf32>
  %z = llm.onnx_tensor "z" <1, 256, 8> : tensor<2x8xui4>
  %d = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s, %z) {axis = 0 : i64, block_size = 32 : i64} : (tensor<48x8xui4>, tensor<2x8xf32>, tensor<2x8xui4>) -> tensor<48x8xf32>
  %y = llm.onnx_node "MatMul" domain "" opset 21(%x, %d) {} : (tensor<?x?x48xf32>, tensor<48x8xf32>) -> tensor<?x?x8xf32>
  %w2 = llm.onnx_tensor "b.weight" <1, 300, 192> : tensor<24x8xsi8>
  %s2 = llm.onnx_tensor "s2" <1, 500, 48> : tensor<24x1xbf16>
  %d2 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w2, %s2) {axis = -1 : i64, block_size = 16 : i64} : (tensor<24x8xsi8>, tensor<24x1xbf16>) -> tensor<24x8xbf16>
  %t2 = llm.onnx_node "Transpose" domain "" opset 21(%d2) {perm = array<i64: 1, 0>} : (tensor<24x8xbf16>) -> tensor<8x24xbf16>
  %y2 = llm.onnx_node "MatMul" domain "" opset 21(%y, %t2) {} : (tensor<?x?x8xf32>, tensor<8x24xbf16>) -> tensor<?x?x24xf32>
  return %y2 : tensor<?x?x24xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.linear
func.func @step(%x: tensor<?x?x32xf32>) -> (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) {
  %w = llm.onnx_tensor "w" <1, 0, 512> : tensor<32x32xsi4>
  %u = llm.onnx_tensor "u" <1, 0, 512> : tensor<32x32xui4>
  %s = llm.onnx_tensor "s" <1, 512, 256> : tensor<2x32xf32>
  %c = llm.onnx_tensor "c" <1, 512, 128> : tensor<32xf32>
  %z = llm.onnx_tensor "z" <1, 768, 64> : tensor<2x32xui8>
  %s8 = llm.onnx_tensor "s8" <1, 512, 512> : tensor<4x32xf32>
  %d0 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%u, %s) {axis = 0 : i64, block_size = 16 : i64} : (tensor<32x32xui4>, tensor<2x32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{unsigned codes without zero points}}
  %0 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d0) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d1 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s) {axis = 1 : i64, block_size = 16 : i64} : (tensor<32x32xsi4>, tensor<2x32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{in blocks along axis 1, expected that of K, 0}}
  %1 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d1) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d2 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %c) {axis = 0 : i64} : (tensor<32x32xsi4>, tensor<32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{with a scale for each of K, expected blocks or a scale for each of N}}
  %2 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d2) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d3 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%u, %s, %z) {axis = 0 : i64, block_size = 16 : i64} : (tensor<32x32xui4>, tensor<2x32xf32>, tensor<2x32xui8>) -> tensor<32x32xf32>
  // expected-remark @below {{zero points of another type than the codes}}
  %3 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d3) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d4 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s8) {axis = 0 : i64, block_size = 8 : i64} : (tensor<32x32xsi4>, tensor<4x32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{blocks of 8, expected a multiple of 16}}
  %4 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d4) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d5 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s) {axis = 0 : i64, block_size = 16 : i64, output_dtype = 10 : i64} : (tensor<32x32xsi4>, tensor<2x32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{output_dtype}}
  %5 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d5) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d6 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s) {axis = 0 : i64, block_size = 16 : i64} : (tensor<32x32xsi4>, tensor<2x32xf32>) -> tensor<32x32xf32>
  %t6 = llm.onnx_node "Transpose" domain "" opset 21(%d6) {perm = array<i64: 0, 1>} : (tensor<32x32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{the weight is not a float initialiser of two axes}}
  %6 = llm.onnx_node "MatMul" domain "" opset 21(%x, %t6) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  return %0, %1, %2, %3, %4, %5, %6 : tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>
}

// -----

// A scale for each of N, by axis: codes [K, N] along N, and codes [N, K] behind a Transpose in one block of K.
// CHECK-DAG: llm.weight @a.weight : tensor<8x48x!wq.encoded<encoding = onnx_blocks, bits = 8, block = 48, scale = f32, is_signed = true, transposed = true>> [#llm.storage<1, 0, 384>, #llm.storage<1, 384, 32>]
// CHECK-DAG: llm.weight @b.weight : tensor<8x512x!wq.encoded<encoding = onnx_blocks, bits = 8, block = 512, scale = f32, is_signed = true>>
// CHECK-LABEL: func @step
// CHECK-COUNT-2: llm.linear
func.func @step(%x: tensor<?x?x48xf32>, %u: tensor<?x?x512xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %w = llm.onnx_tensor "a.weight" <1, 0, 384> : tensor<48x8xsi8>
  %s = llm.onnx_tensor "s" <1, 384, 32> : tensor<8xf32>
  %d = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s) {axis = 1 : i64} : (tensor<48x8xsi8>, tensor<8xf32>) -> tensor<48x8xf32>
  %y = llm.onnx_node "MatMul" domain "" opset 21(%x, %d) {} : (tensor<?x?x48xf32>, tensor<48x8xf32>) -> tensor<?x?x8xf32>
  %w2 = llm.onnx_tensor "b.weight" <1, 500, 4096> : tensor<8x512xsi8>
  %s2 = llm.onnx_tensor "s2" <1, 5000, 32> : tensor<8x1xf32>
  %d2 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w2, %s2) {axis = 1 : i64, block_size = 512 : i64} : (tensor<8x512xsi8>, tensor<8x1xf32>) -> tensor<8x512xf32>
  %t2 = llm.onnx_node "Transpose" domain "" opset 21(%d2) {perm = array<i64: 1, 0>} : (tensor<8x512xf32>) -> tensor<512x8xf32>
  %y2 = llm.onnx_node "MatMul" domain "" opset 21(%u, %t2) {} : (tensor<?x?x512xf32>, tensor<512x8xf32>) -> tensor<?x?x8xf32>
  return %y, %y2 : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// GPT-2: Gemm between Reshapes, [K, N] and [N, K]; a weight under Transpose and Cast; FusedMatMul.
// CHECK-DAG: llm.weight @h.c_attn.weight : tensor<48x16xf32> [#llm.storage<0, 0, 3072>] {transposed}
// CHECK-DAG: llm.weight @h.c_attn.bias : tensor<48xf32>
// CHECK-DAG: llm.weight @h.c_proj.weight : tensor<16x48xf32> [#llm.storage<0, 4000, 3072>]{{$}}
// CHECK-DAG: llm.weight @lm_head.weight : tensor<40x16xf16> [#llm.storage<0, 8000, 1280>]{{$}}
// CHECK-DAG: llm.weight @f.weight : tensor<40x40xf32> [#llm.storage<0, 10000, 6400>]{{$}}
// CHECK-LABEL: func @step
// CHECK:         %[[X:.*]] = builtin.unrealized_conversion_cast %arg0 : tensor<?x?x16xf32> to tensor<?x16xf32>
// CHECK:         %[[A:.*]] = llm.linear %[[X]], %{{.*}} bias
// CHECK:         %[[P:.*]] = llm.linear %[[A]]
// CHECK:         %[[H:.*]] = llm.linear %[[P]]
// CHECK:         llm.linear %[[H]]
// CHECK-NOT:     "Reshape"
func.func @step(%x: tensor<?x?x16xf32>) -> tensor<?x?x40xf32> {
  %flat = llm.onnx_constant dense<[-1, 16]> : tensor<2xi64> -> tensor<2xi64>
  %back = llm.onnx_constant dense<[1, -1, 16]> : tensor<3xi64> -> tensor<3xi64>
  %w = llm.onnx_tensor "h.c_attn.weight" <0, 0, 3072> : tensor<16x48xf32>
  %b = llm.onnx_tensor "h.c_attn.bias" <0, 3072, 192> : tensor<48xf32>
  %w2 = llm.onnx_tensor "h.c_proj.weight" <0, 4000, 3072> : tensor<16x48xf32>
  %v = llm.onnx_tensor "lm_head.weight" <0, 8000, 1280> : tensor<40x16xf16>
  %f = llm.onnx_tensor "f.weight" <0, 10000, 6400> : tensor<40x40xf32>
  %r = llm.onnx_node "Reshape" domain "" opset 18(%x, %flat) {} : (tensor<?x?x16xf32>, tensor<2xi64>) -> tensor<?x16xf32>
  %g = llm.onnx_node "Gemm" domain "" opset 18(%r, %w, %b) {alpha = 1.0 : f32, beta = 1.0 : f32} : (tensor<?x16xf32>, tensor<16x48xf32>, tensor<48xf32>) -> tensor<?x48xf32>
  %p = llm.onnx_node "Gemm" domain "" opset 18(%g, %w2) {transB = 1 : i64} : (tensor<?x48xf32>, tensor<16x48xf32>) -> tensor<?x16xf32>
  %q = llm.onnx_node "Reshape" domain "" opset 18(%p, %back) {} : (tensor<?x16xf32>, tensor<3xi64>) -> tensor<1x?x16xf32>
  %t = llm.onnx_node "Transpose" domain "" opset 18(%v) {perm = array<i64: 1, 0>} : (tensor<40x16xf16>) -> tensor<16x40xf16>
  %c = llm.onnx_node "Cast" domain "" opset 18(%t) {to = 1 : i64} : (tensor<16x40xf16>) -> tensor<16x40xf32>
  %l = llm.onnx_node "MatMul" domain "" opset 18(%q, %c) {} : (tensor<1x?x16xf32>, tensor<16x40xf32>) -> tensor<?x?x40xf32>
  %y = llm.onnx_node "FusedMatMul" domain "com.microsoft" opset 1(%l, %f) {transB = 1 : i64} : (tensor<?x?x40xf32>, tensor<40x40xf32>) -> tensor<?x?x40xf32>
  return %y : tensor<?x?x40xf32>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.linear
func.func @step(%x: tensor<?x16xf32>, %u: tensor<*xf32>, %v: tensor<?x?x8xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<*xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %w = llm.onnx_tensor "w" <0, 0, 1024> : tensor<16x16xf32>
  %s = llm.onnx_tensor "s" <0, 1024, 4> : tensor<1xf32>
  // expected-remark @below {{Gemm with factors, or of a transposed first operand}}
  %0 = llm.onnx_node "Gemm" domain "" opset 18(%x, %w) {alpha = 0.5 : f32} : (tensor<?x16xf32>, tensor<16x16xf32>) -> tensor<?x16xf32>
  // expected-remark @below {{the bias is broadcast}}
  %1 = llm.onnx_node "Gemm" domain "" opset 18(%x, %w, %s) {} : (tensor<?x16xf32>, tensor<16x16xf32>, tensor<1xf32>) -> tensor<?x16xf32>
  // expected-remark @below {{the bias is not an initialiser [N]}}
  %2 = llm.onnx_node "Gemm" domain "" opset 18(%x, %w, %x) {} : (tensor<?x16xf32>, tensor<16x16xf32>, tensor<?x16xf32>) -> tensor<?x16xf32>
  // expected-remark @below {{the first operand is not [batch, tokens, K] or [rows, K] of the weight's K = 16}}
  %3 = llm.onnx_node "MatMul" domain "" opset 18(%u, %w) {} : (tensor<*xf32>, tensor<16x16xf32>) -> tensor<*xf32>
  // expected-remark @below {{of the weight's K = 16}}
  %4 = llm.onnx_node "MatMul" domain "" opset 18(%v, %w) {} : (tensor<?x?x8xf32>, tensor<16x16xf32>) -> tensor<?x?x16xf32>
  // expected-remark @below {{FusedMatMul with a factor, or of a transposed first operand}}
  %5 = llm.onnx_node "FusedMatMul" domain "com.microsoft" opset 1(%v, %w) {alpha = 2.0 : f32} : (tensor<?x?x8xf32>, tensor<16x16xf32>) -> tensor<?x?x16xf32>
  return %0, %1, %2, %3, %4, %5 : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<*xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}

// -----

// Split and Slice of a packed linear: rows of its weight and bias.
// CHECK-DAG: llm.weight @mlp.gate_proj.weight : tensor<32x16xf32> [#llm.storage<0, 0, 4096>] {stored_rows = 64 : i64, transposed}
// CHECK-DAG: llm.weight @mlp.up_proj.weight : tensor<32x16xf32> [#llm.storage<0, 0, 4096>] {row_begin = 32 : i64, stored_rows = 64 : i64, transposed}
// CHECK-DAG: llm.weight @mlp.up_proj.bias : tensor<32xf32> [#llm.storage<0, 4096, 256>] {row_begin = 32 : i64, stored_rows = 64 : i64}
// CHECK-LABEL: func @step
// CHECK-DAG:     %[[GW:.*]] = llm.get_weight @mlp.gate_proj.weight
// CHECK-DAG:     %[[UW:.*]] = llm.get_weight @mlp.up_proj.weight
// CHECK-DAG:     llm.linear %{{.*}}, %[[GW]] bias
// CHECK-DAG:     llm.linear %{{.*}}, %[[UW]] bias
// CHECK:         llm.linear {{.*}} -> tensor<?x8xf32>
func.func @step(%x: tensor<?x?x16xf32>) -> (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x8xf32>) {
  %w = llm.onnx_tensor "mlp.gate_up_proj.weight" <0, 0, 4096> : tensor<16x64xf32>
  %b = llm.onnx_tensor "mlp.gate_up_proj.bias" <0, 4096, 256> : tensor<64xf32>
  %begin = llm.onnx_constant dense<-8> : tensor<1xi64> -> tensor<1xi64>
  %end = llm.onnx_constant dense<9223372036854775807> : tensor<1xi64> -> tensor<1xi64>
  %axis = llm.onnx_constant dense<2> : tensor<1xi64> -> tensor<1xi64>
  %l = llm.onnx_node "MatMul" domain "" opset 18(%x, %w) {} : (tensor<?x?x16xf32>, tensor<16x64xf32>) -> tensor<?x?x64xf32>
  %y = llm.onnx_node "Add" domain "" opset 18(%l, %b) {} : (tensor<?x?x64xf32>, tensor<64xf32>) -> tensor<?x?x64xf32>
  %p:2 = llm.onnx_node "Split" domain "" opset 18(%y) {axis = -1 : i64, num_outputs = 2 : i64} : (tensor<?x?x64xf32>) -> (tensor<?x?x32xf32>, tensor<?x?x32xf32>)
  %s = llm.onnx_node "Slice" domain "" opset 18(%y, %begin, %end, %axis) {} : (tensor<?x?x64xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?x8xf32>
  return %p#0, %p#1, %s : tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x8xf32>
}

// -----

// A Split of tokens is none of columns.
// CHECK-LABEL: func @step
// CHECK:         "Split"
func.func @step(%x: tensor<?x?x16xf32>) -> (tensor<?x?x64xf32>, tensor<?x?x64xf32>) {
  %w = llm.onnx_tensor "w" <0, 0, 4096> : tensor<16x64xf32>
  %l = llm.onnx_node "MatMul" domain "" opset 18(%x, %w) {} : (tensor<?x?x16xf32>, tensor<16x64xf32>) -> tensor<?x?x64xf32>
  // expected-remark @below {{a Split of another axis than the columns}}
  %p:2 = llm.onnx_node "Split" domain "" opset 18(%l) {axis = 1 : i64, num_outputs = 2 : i64} : (tensor<?x?x64xf32>) -> (tensor<?x?x64xf32>, tensor<?x?x64xf32>)
  return %p#0, %p#1 : tensor<?x?x64xf32>, tensor<?x?x64xf32>
}
