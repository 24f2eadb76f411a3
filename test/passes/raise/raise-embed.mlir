// RUN: llmc-opt %s --llmc-raise-embed --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s

// CHECK: llm.weight @model.embed_tokens.weight : tensor<40x16xf16> [#llm.storage<1, 0, 1280>]
// CHECK-LABEL: func @step
// CHECK-SAME:    %[[TOKENS:[a-z0-9]*]]: tensor<?xi32>, %{{.*}}: tensor<?xi32>, %{{.*}}: tensor<?xi32>
// CHECK:         llm.embed %[[TOKENS]], %{{.*}} : tensor<40x16xf16> -> tensor<?x16xf32>
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x?x16xf16> {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %w = llm.onnx_tensor "model.embed_tokens.weight" <1, 0, 1280> : tensor<40x16xf16>
  %y = llm.onnx_node "Gather" domain "" opset 21(%w, %ids) {} : (tensor<40x16xf16>, tensor<?x?xi64>) -> tensor<?x?x16xf16>
  return %y : tensor<?x?x16xf16>
}

// -----

// CHECK: llm.weight @model.embed_tokens.weight : tensor<40x32x!wq.encoded<encoding = matmul_nbits, bits = 4, block = 16, scale = f32>>
// CHECK: llm.embed
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x?x32xf32> {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %w = llm.onnx_tensor "model.embed_tokens.weight_Q4" <1, 0, 640> : tensor<40x16xui8>
  %s = llm.onnx_tensor "model.embed_tokens.weight_scales" <1, 640, 320> : tensor<40x2xf32>
  %y = llm.onnx_node "GatherBlockQuantized" domain "com.microsoft" opset 1(%w, %ids, %s) {bits = 4 : i64, block_size = 16 : i64, gather_axis = 0 : i64, quantize_axis = 1 : i64} : (tensor<40x16xui8>, tensor<?x?xi64>, tensor<40x2xf32>) -> tensor<?x?x32xf32>
  return %y : tensor<?x?x32xf32>
}

// -----

// CHECK: llm.weight @model.embed_tokens.weight : tensor<40x48x!wq.encoded<encoding = onnx_blocks, bits = 4, block = 32, is_signed = true>> [#llm.storage<1, 0, 960>, #llm.storage<1, 960, 160>]
// CHECK: llm.embed
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x?x48xf16> {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %w = llm.onnx_tensor "model.embed_tokens.weight_Q4G32" <1, 0, 960> : tensor<40x48xsi4>
  %s = llm.onnx_tensor "model.embed_tokens.weight_scales" <1, 960, 160> : tensor<40x2xf16>
  %y = llm.onnx_node "GatherBlockQuantized" domain "com.microsoft" opset 1(%w, %ids, %s) {block_size = 32 : i64, gather_axis = 0 : i64, quantize_axis = -1 : i64} : (tensor<40x48xsi4>, tensor<?x?xi64>, tensor<40x2xf16>) -> tensor<?x?x48xf16>
  return %y : tensor<?x?x48xf16>
}

// -----

// Tables that are shared with the head: [H, V], and codes in its form.
// CHECK-DAG: llm.weight @lm_head.weight : tensor<40x16xf32> [#llm.storage<1, 0, 2560>] {transposed}
// CHECK-DAG: llm.weight @head.weight : tensor<40x32x!wq.encoded<encoding = matmul_nbits, bits = 4, block = 16, scale = f32>>
// CHECK: llm.embed
// CHECK: llm.embed
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>) -> (tensor<?x?x16xf32>, tensor<?x?x32xf32>) {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %w = llm.onnx_tensor "lm_head.MatMul.weight" <1, 0, 2560> : tensor<16x40xf32>
  %t = llm.onnx_node "Transpose" domain "" opset 21(%w) {perm = array<i64: 1, 0>} : (tensor<16x40xf32>) -> tensor<40x16xf32>
  %y = llm.onnx_node "Gather" domain "" opset 21(%t, %ids) {} : (tensor<40x16xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
  %q = llm.onnx_tensor "head.MatMul.weight_Q4" <1, 2560, 640> : tensor<40x2x8xui8>
  %s = llm.onnx_tensor "head.MatMul.weight_scales" <1, 3200, 320> : tensor<40x2xf32>
  %shape = llm.onnx_constant dense<[40, 16]> : tensor<2xi64> -> tensor<2xi64>
  %r = llm.onnx_node "Reshape" domain "" opset 21(%q, %shape) {} : (tensor<40x2x8xui8>, tensor<2xi64>) -> tensor<40x16xui8>
  %z = llm.onnx_node "GatherBlockQuantized" domain "com.microsoft" opset 1(%r, %ids, %s) {bits = 4 : i64, block_size = 16 : i64, gather_axis = 0 : i64, quantize_axis = 1 : i64} : (tensor<40x16xui8>, tensor<?x?xi64>, tensor<40x2xf32>) -> tensor<?x?x32xf32>
  return %y, %z : tensor<?x?x16xf32>, tensor<?x?x32xf32>
}

// -----

// CHECK-NOT: llm.embed
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x?x16xf32> {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %w = llm.onnx_tensor "w" <1, 0, 1024> : tensor<16x16xf32>
  %t = llm.onnx_node "Transpose" domain "" opset 21(%w) {perm = array<i64: 0, 1>} : (tensor<16x16xf32>) -> tensor<16x16xf32>
  // expected-remark @below {{the table is not a float initialiser [V, H]}}
  %y = llm.onnx_node "Gather" domain "" opset 21(%t, %ids) {} : (tensor<16x16xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

// -----

// CHECK-NOT: llm.embed
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %t: tensor<40x16xf32>) -> (tensor<?x?x16xf32>, tensor<40x?x?xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %w = llm.onnx_tensor "w" <1, 0, 2560> : tensor<40x16xf32>
  %q = llm.onnx_tensor "q" <1, 0, 640> : tensor<40x32xsi4>
  %u = llm.onnx_tensor "u" <1, 0, 640> : tensor<40x32xui4>
  %p = llm.onnx_tensor "p" <1, 0, 640> : tensor<40x16xui8>
  %s = llm.onnx_tensor "s" <1, 640, 320> : tensor<40x2xf32>
  %z = llm.onnx_tensor "z" <1, 960, 40> : tensor<40x1xui8>
  // expected-remark @below {{the table is not a float initialiser [V, H]}}
  %0 = llm.onnx_node "Gather" domain "" opset 21(%t, %ids) {} : (tensor<40x16xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
  // expected-remark @below {{tokens gather along another axis than 0}}
  %1 = llm.onnx_node "Gather" domain "" opset 21(%w, %ids) {axis = 1 : i64} : (tensor<40x16xf32>, tensor<?x?xi64>) -> tensor<40x?x?xf32>
  // expected-remark @below {{expected gather_axis 0 and quantize_axis 1}}
  %2 = llm.onnx_node "GatherBlockQuantized" domain "com.microsoft" opset 1(%q, %ids, %s) {block_size = 16 : i64, gather_axis = 0 : i64, quantize_axis = -2 : i64} : (tensor<40x32xsi4>, tensor<?x?xi64>, tensor<40x2xf32>) -> tensor<?x?x32xf32>
  // expected-remark @below {{scales of another shape than the blocks}}
  %3 = llm.onnx_node "GatherBlockQuantized" domain "com.microsoft" opset 1(%q, %ids, %s) {block_size = 32 : i64, gather_axis = 0 : i64, quantize_axis = 1 : i64} : (tensor<40x32xsi4>, tensor<?x?xi64>, tensor<40x2xf32>) -> tensor<?x?x32xf32>
  // expected-remark @below {{unsigned codes without zero points}}
  %4 = llm.onnx_node "GatherBlockQuantized" domain "com.microsoft" opset 1(%u, %ids, %s) {block_size = 16 : i64, gather_axis = 0 : i64, quantize_axis = 1 : i64} : (tensor<40x32xui4>, tensor<?x?xi64>, tensor<40x2xf32>) -> tensor<?x?x32xf32>
  // expected-remark @below {{a packed table with zero points}}
  %5 = llm.onnx_node "GatherBlockQuantized" domain "com.microsoft" opset 1(%p, %ids, %s, %z) {block_size = 16 : i64, gather_axis = 0 : i64, quantize_axis = 1 : i64} : (tensor<40x16xui8>, tensor<?x?xi64>, tensor<40x2xf32>, tensor<40x1xui8>) -> tensor<?x?x32xf32>
  return %0, %1, %2, %3, %4, %5 : tensor<?x?x16xf32>, tensor<40x?x?xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>
}

// -----

// Positions: GPT-2's table, and OPT's, which begins with two rows for others; tokens behind a Reshape.
// CHECK: module attributes {llm.max_context = 38 : i64}
// CHECK-DAG: llm.weight @wpe.weight : tensor<40x16xf32> [#llm.storage<1, 0, 2560>]
// CHECK-DAG: llm.weight @embed_positions.weight : tensor<38x16xf32> [#llm.storage<1, 2560, 2560>] {row_begin = 2 : i64, stored_rows = 40 : i64}
// CHECK: llm.embed %arg1
// CHECK: llm.embed %arg1
// CHECK: llm.embed %arg0
module {
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %p = builtin.unrealized_conversion_cast %positions : tensor<?xi32> to tensor<?x?xi64>
  %w = llm.onnx_tensor "wpe.weight" <1, 0, 2560> : tensor<40x16xf32>
  %v = llm.onnx_tensor "embed_positions.weight" <1, 2560, 2560> : tensor<40x16xf32>
  %two = llm.onnx_constant dense<2> : tensor<i64> -> tensor<i64>
  %shape = llm.onnx_constant dense<[1, -1]> : tensor<2xi64> -> tensor<2xi64>
  %y = llm.onnx_node "Gather" domain "" opset 21(%w, %p) {} : (tensor<40x16xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
  %q = llm.onnx_node "Add" domain "" opset 21(%p, %two) {} : (tensor<?x?xi64>, tensor<i64>) -> tensor<?x?xi64>
  %z = llm.onnx_node "Gather" domain "" opset 21(%v, %q) {} : (tensor<40x16xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
  %r = llm.onnx_node "Reshape" domain "" opset 21(%ids, %shape) {} : (tensor<?x?xi64>, tensor<2xi64>) -> tensor<1x?xi64>
  %u = llm.onnx_node "Gather" domain "" opset 21(%w, %r) {} : (tensor<40x16xf32>, tensor<1x?xi64>) -> tensor<?x?x16xf32>
  return %y, %z, %u : tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>
}
}

// -----

// Tokens plus a number are other rows than the model's.
// CHECK: positions plus 40
// CHECK-NOT: llm.embed
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>) {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %p = builtin.unrealized_conversion_cast %positions : tensor<?xi32> to tensor<?x?xi64>
  %w = llm.onnx_tensor "wpe.weight" <1, 0, 2560> : tensor<40x16xf32>
  %two = llm.onnx_constant dense<2> : tensor<i64> -> tensor<i64>
  %many = llm.onnx_constant dense<40> : tensor<i64> -> tensor<i64>
  %q = llm.onnx_node "Add" domain "" opset 21(%ids, %two) {} : (tensor<?x?xi64>, tensor<i64>) -> tensor<?x?xi64>
  %y = llm.onnx_node "Gather" domain "" opset 21(%w, %q) {} : (tensor<40x16xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
  %a = llm.onnx_node "Add" domain "" opset 21(%p, %many) {} : (tensor<?x?xi64>, tensor<i64>) -> tensor<?x?xi64>
  // expected-remark @below {{positions plus 40 in a table of 40 rows}}
  %z = llm.onnx_node "Gather" domain "" opset 21(%w, %a) {} : (tensor<40x16xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
  return %y, %z : tensor<?x?x16xf32>, tensor<?x?x16xf32>
}
