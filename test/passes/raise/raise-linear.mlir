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
  // expected-remark @below {{the second operand is not a float initialiser [K, N]}}
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

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.linear
func.func @step(%x: tensor<?x?x32xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %b = llm.onnx_tensor "b" <1, 0, 128> : tensor<8x1x16xui8>
  %b2 = llm.onnx_tensor "b2" <1, 0, 64> : tensor<8x1x8xui8>
  %b512 = llm.onnx_tensor "b512" <1, 0, 2048> : tensor<8x1x256xui8>
  %s = llm.onnx_tensor "s" <1, 128, 32> : tensor<8x1xf32>
  %z = llm.onnx_tensor "z" <1, 160, 32> : tensor<8x1xf32>
  %g = llm.onnx_tensor "g" <1, 200, 128> : tensor<32xi32>
  %none = llm.onnx_none : none
  // expected-remark @below {{MatMulNBits of 2 bits, expected 4 or 8}}
  %0 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b2, %s) {K = 32 : i64, N = 8 : i64, bits = 2 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x8xui8>, tensor<8x1xf32>) -> tensor<?x?x8xf32>
  // expected-remark @below {{float zero points, expected UINT8}}
  %1 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b, %s, %z) {K = 32 : i64, N = 8 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x16xui8>, tensor<8x1xf32>, tensor<8x1xf32>) -> tensor<?x?x8xf32>
  // expected-remark @below {{g_idx}}
  %2 = llm.onnx_node "MatMulNBits" domain "com.microsoft" opset 1(%x, %b, %s, %none, %g) {K = 32 : i64, N = 8 : i64, block_size = 32 : i64} : (tensor<?x?x32xf32>, tensor<8x1x16xui8>, tensor<8x1xf32>, none, tensor<32xi32>) -> tensor<?x?x8xf32>
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
  // expected-remark @below {{along axis 1, expected that of K, 0}}
  %1 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d1) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d2 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %c) {axis = 0 : i64} : (tensor<32x32xsi4>, tensor<32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{codes, scales [2 axes] or zero points are not initialisers}}
  %2 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d2) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d3 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%u, %s, %z) {axis = 0 : i64, block_size = 16 : i64} : (tensor<32x32xui4>, tensor<2x32xf32>, tensor<2x32xui8>) -> tensor<32x32xf32>
  // expected-remark @below {{zero points of another type than the codes}}
  %3 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d3) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d4 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s8) {axis = 0 : i64, block_size = 8 : i64} : (tensor<32x32xsi4>, tensor<4x32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{blocks of 8, expected a multiple of 16 up to 256}}
  %4 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d4) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d5 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s) {axis = 0 : i64, block_size = 16 : i64, output_dtype = 10 : i64} : (tensor<32x32xsi4>, tensor<2x32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{output_dtype}}
  %5 = llm.onnx_node "MatMul" domain "" opset 21(%x, %d5) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %d6 = llm.onnx_node "DequantizeLinear" domain "" opset 21(%w, %s) {axis = 0 : i64, block_size = 16 : i64} : (tensor<32x32xsi4>, tensor<2x32xf32>) -> tensor<32x32xf32>
  %t6 = llm.onnx_node "Transpose" domain "" opset 21(%d6) {perm = array<i64: 0, 1>} : (tensor<32x32xf32>) -> tensor<32x32xf32>
  // expected-remark @below {{not a float initialiser [K, N]}}
  %6 = llm.onnx_node "MatMul" domain "" opset 21(%x, %t6) {} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  return %0, %1, %2, %3, %4, %5, %6 : tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>
}
