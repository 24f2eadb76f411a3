// RUN: llmc-opt %s --llmc-raise-attention --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics | FileCheck %s
// Caches that are not what raise-multi-head.mlir has.

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.attention
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf16> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf16> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf16>, %k: tensor<?x?x8xf16>, %v: tensor<?x?x8xf16>, %v4: tensor<4xi64>,
    %p0: tensor<?x2x?x4xf16> {llm.name = "past_key_values.0.key"}, %p1: tensor<?x2x?x4xf16> {llm.name = "past_key_values.1.key"}, %p2: tensor<?x2x?x4xf16> {llm.name = "past_key_values.2.key"}, %p3: tensor<?x2x?x4xf16> {llm.name = "past_key_values.3.key"})
    -> (tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x?x16xf16>, tensor<?x2x?x4xf16>) {
  %ids = builtin.unrealized_conversion_cast %tokens : tensor<?xi32> to tensor<?x?xi64>
  %i0 = llm.onnx_constant dense<0> : tensor<i64> -> tensor<i64>
  %i1 = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %m1 = llm.onnx_constant dense<-1> : tensor<i64> -> tensor<i64>
  %v0 = llm.onnx_constant dense<0> : tensor<1xi64> -> tensor<1xi64>
  %v1 = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %v2 = llm.onnx_constant dense<2> : tensor<1xi64> -> tensor<1xi64>
  %z = llm.onnx_constant dense<0.0> : tensor<f16> -> tensor<f16>
  %one = llm.onnx_constant dense<1.0> : tensor<f16> -> tensor<f16>
  %low = llm.onnx_constant dense<-6.5504e4> : tensor<f16> -> tensor<f16>
  %none = llm.onnx_none : none
  %ids_shape = llm.onnx_node "Shape" domain "" opset 22(%ids) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %n0 = llm.onnx_node "Gather" domain "" opset 22(%ids_shape, %i1) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %n = llm.onnx_node "Unsqueeze" domain "" opset 22(%n0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %nn = llm.onnx_node "Concat" domain "" opset 22(%n, %n) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %n1 = llm.onnx_node "Concat" domain "" opset 22(%n, %v1) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %mask1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%mask, %v1) {} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?x1x?xi64>
  %mask2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%mask1, %v2) {} : (tensor<?x1x?xi64>, tensor<1xi64>) -> tensor<?x1x1x?xi64>
  %mask3 = llm.onnx_node "Expand" domain "" opset 22(%mask2, %v4) {} : (tensor<?x1x1x?xi64>, tensor<4xi64>) -> tensor<?x?x?x?xi64>
  %mask4 = llm.onnx_node "Cast" domain "" opset 22(%mask3) {to = 10 : i64} : (tensor<?x?x?x?xi64>) -> tensor<?x?x?x?xf16>
  %keep = llm.onnx_node "Sub" domain "" opset 22(%one, %mask4) {} : (tensor<f16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %keep1 = llm.onnx_node "Cast" domain "" opset 22(%keep) {to = 9 : i64} : (tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xi1>
  %padding = llm.onnx_node "Where" domain "" opset 22(%keep1, %low, %keep) {} : (tensor<?x?x?x?xi1>, tensor<f16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %afill = llm.onnx_node "ConstantOfShape" domain "" opset 22(%nn) {value = dense<-65504.0> : tensor<1xf16>} : (tensor<2xi64>) -> tensor<?x?xf16>
  %arange = llm.onnx_node "Range" domain "" opset 22(%i0, %n0, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %anext = llm.onnx_node "Add" domain "" opset 22(%arange, %i1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %acolumn = llm.onnx_node "Reshape" domain "" opset 22(%anext, %n1) {} : (tensor<?xi64>, tensor<2xi64>) -> tensor<?x?xi64>
  %aless = llm.onnx_node "Less" domain "" opset 22(%arange, %acolumn) {} : (tensor<?xi64>, tensor<?x?xi64>) -> tensor<?x?xi1>
  %ac = llm.onnx_node "Where" domain "" opset 22(%aless, %z, %afill) {} : (tensor<?x?xi1>, tensor<f16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  %ac1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%ac, %v0) {} : (tensor<?x?xf16>, tensor<1xi64>) -> tensor<1x?x?xf16>
  %ac2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%ac1, %v1) {} : (tensor<1x?x?xf16>, tensor<1xi64>) -> tensor<1x1x?x?xf16>
  %ac3 = llm.onnx_node "Expand" domain "" opset 22(%ac2, %v4) {} : (tensor<1x1x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %amask = llm.onnx_node "Add" domain "" opset 22(%padding, %ac3) {} : (tensor<?x?x?x?xf16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %i2 = llm.onnx_constant dense<2> : tensor<i64> -> tensor<i64>
  %split = llm.onnx_constant dense<[0, 0, 2, -1]> : tensor<4xi64> -> tensor<4xi64>
  %merge = llm.onnx_constant dense<[0, 0, 16]> : tensor<3xi64> -> tensor<3xi64>
  %kv = llm.onnx_constant dense<2> : tensor<1xi64> -> tensor<1xi64>
  %d = llm.onnx_constant dense<4> : tensor<1xi64> -> tensor<1xi64>
  %two = llm.onnx_constant dense<2> : tensor<i64> -> tensor<i64>
  %v3 = llm.onnx_constant dense<4> : tensor<1xi64> -> tensor<1xi64>
  %h = llm.onnx_node "Mul" domain "" opset 22(%kv, %two) {} : (tensor<1xi64>, tensor<i64>) -> tensor<1xi64>
  %vr = llm.onnx_node "Reshape" domain "" opset 22(%v, %split) {} : (tensor<?x?x8xf16>, tensor<4xi64>) -> tensor<?x?x2x?xf16>
  %vx = llm.onnx_node "Transpose" domain "" opset 22(%vr) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x?xf16>) -> tensor<?x2x?x?xf16>
  %vpresent = llm.onnx_node "Concat" domain "" opset 22(%pv, %vx) {axis = 2 : i64} : (tensor<?x2x?x4xf16>, tensor<?x2x?x?xf16>) -> tensor<?x2x?x4xf16>
  %vshape = llm.onnx_node "Shape" domain "" opset 22(%vpresent) {} : (tensor<?x2x?x4xf16>) -> tensor<4xi64>
  %vb0 = llm.onnx_node "Gather" domain "" opset 22(%vshape, %i0) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %vb = llm.onnx_node "Unsqueeze" domain "" opset 22(%vb0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %vt0 = llm.onnx_node "Gather" domain "" opset 22(%vshape, %i2) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %vt = llm.onnx_node "Unsqueeze" domain "" opset 22(%vt0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %vfive0 = llm.onnx_node "Concat" domain "" opset 22(%vb, %kv, %v2, %vt, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<5xi64>
  %vfive_shape = llm.onnx_node "Shape" domain "" opset 22(%vfive0) {} : (tensor<5xi64>) -> tensor<1xi64>
  %vones = llm.onnx_node "ConstantOfShape" domain "" opset 22(%vfive_shape) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<?xi64>
  %vminus = llm.onnx_node "Mul" domain "" opset 22(%vones, %m1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %vabsent = llm.onnx_node "Equal" domain "" opset 22(%vfive0, %vminus) {} : (tensor<5xi64>, tensor<?xi64>) -> tensor<5xi1>
  %vfive = llm.onnx_node "Where" domain "" opset 22(%vabsent, %vones, %vfive0) {} : (tensor<5xi1>, tensor<?xi64>, tensor<5xi64>) -> tensor<5xi64>
  %vfour = llm.onnx_node "Concat" domain "" opset 22(%vb, %h, %vt, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %vu = llm.onnx_node "Unsqueeze" domain "" opset 22(%vpresent, %v2) {} : (tensor<?x2x?x4xf16>, tensor<1xi64>) -> tensor<?x2x1x?x4xf16>
  %ve = llm.onnx_node "Expand" domain "" opset 22(%vu, %vfive) {} : (tensor<?x2x1x?x4xf16>, tensor<5xi64>) -> tensor<?x?x?x?x?xf16>
  %vf = llm.onnx_node "Reshape" domain "" opset 22(%ve, %vfour) {} : (tensor<?x?x?x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %vft = llm.onnx_node "Transpose" domain "" opset 22(%vf) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %vout = llm.onnx_node "Reshape" domain "" opset 22(%vft, %merge) {} : (tensor<?x?x?x?xf16>, tensor<3xi64>) -> tensor<?x?x16xf16>
  // All heads, then all heads again.
  %k0_r = llm.onnx_node "Reshape" domain "" opset 22(%k, %split) {} : (tensor<?x?x8xf16>, tensor<4xi64>) -> tensor<?x?x2x?xf16>
  %k0_x = llm.onnx_node "Transpose" domain "" opset 22(%k0_r) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x?xf16>) -> tensor<?x2x?x?xf16>
  %k0_present = llm.onnx_node "Concat" domain "" opset 22(%p0, %k0_x) {axis = 2 : i64} : (tensor<?x2x?x4xf16>, tensor<?x2x?x?xf16>) -> tensor<?x2x?x4xf16>
  %k0_shape = llm.onnx_node "Shape" domain "" opset 22(%k0_present) {} : (tensor<?x2x?x4xf16>) -> tensor<4xi64>
  %k0_b0 = llm.onnx_node "Gather" domain "" opset 22(%k0_shape, %i0) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %k0_b = llm.onnx_node "Unsqueeze" domain "" opset 22(%k0_b0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %k0_t0 = llm.onnx_node "Gather" domain "" opset 22(%k0_shape, %i2) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %k0_t = llm.onnx_node "Unsqueeze" domain "" opset 22(%k0_t0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %k0_five0 = llm.onnx_node "Concat" domain "" opset 22(%k0_b, %kv, %v2, %k0_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<5xi64>
  %k0_five_shape = llm.onnx_node "Shape" domain "" opset 22(%k0_five0) {} : (tensor<5xi64>) -> tensor<1xi64>
  %k0_ones = llm.onnx_node "ConstantOfShape" domain "" opset 22(%k0_five_shape) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<?xi64>
  %k0_minus = llm.onnx_node "Mul" domain "" opset 22(%k0_ones, %m1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %k0_absent = llm.onnx_node "Equal" domain "" opset 22(%k0_five0, %k0_minus) {} : (tensor<5xi64>, tensor<?xi64>) -> tensor<5xi1>
  %k0_five = llm.onnx_node "Where" domain "" opset 22(%k0_absent, %k0_ones, %k0_five0) {} : (tensor<5xi1>, tensor<?xi64>, tensor<5xi64>) -> tensor<5xi64>
  %k0_four = llm.onnx_node "Concat" domain "" opset 22(%k0_b, %h, %k0_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %k0_u = llm.onnx_node "Unsqueeze" domain "" opset 22(%k0_present, %v1) {} : (tensor<?x2x?x4xf16>, tensor<1xi64>) -> tensor<?x1x2x?x4xf16>
  %k0_e = llm.onnx_node "Expand" domain "" opset 22(%k0_u, %k0_five) {} : (tensor<?x1x2x?x4xf16>, tensor<5xi64>) -> tensor<?x?x?x?x?xf16>
  %k0_f = llm.onnx_node "Reshape" domain "" opset 22(%k0_e, %k0_four) {} : (tensor<?x?x?x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %k0_ft = llm.onnx_node "Transpose" domain "" opset 22(%k0_f) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %k0_out = llm.onnx_node "Reshape" domain "" opset 22(%k0_ft, %merge) {} : (tensor<?x?x?x?xf16>, tensor<3xi64>) -> tensor<?x?x16xf16>
  // expected-remark @below {{keys or values are not those of a cache}}
  %y0 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %k0_out, %vout, %none, %none, %amask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // Another number of repeats.
  %k1_r = llm.onnx_node "Reshape" domain "" opset 22(%k, %split) {} : (tensor<?x?x8xf16>, tensor<4xi64>) -> tensor<?x?x2x?xf16>
  %k1_x = llm.onnx_node "Transpose" domain "" opset 22(%k1_r) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x?xf16>) -> tensor<?x2x?x?xf16>
  %k1_present = llm.onnx_node "Concat" domain "" opset 22(%p1, %k1_x) {axis = 2 : i64} : (tensor<?x2x?x4xf16>, tensor<?x2x?x?xf16>) -> tensor<?x2x?x4xf16>
  %k1_shape = llm.onnx_node "Shape" domain "" opset 22(%k1_present) {} : (tensor<?x2x?x4xf16>) -> tensor<4xi64>
  %k1_b0 = llm.onnx_node "Gather" domain "" opset 22(%k1_shape, %i0) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %k1_b = llm.onnx_node "Unsqueeze" domain "" opset 22(%k1_b0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %k1_t0 = llm.onnx_node "Gather" domain "" opset 22(%k1_shape, %i2) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %k1_t = llm.onnx_node "Unsqueeze" domain "" opset 22(%k1_t0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %k1_five0 = llm.onnx_node "Concat" domain "" opset 22(%k1_b, %kv, %v3, %k1_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<5xi64>
  %k1_five_shape = llm.onnx_node "Shape" domain "" opset 22(%k1_five0) {} : (tensor<5xi64>) -> tensor<1xi64>
  %k1_ones = llm.onnx_node "ConstantOfShape" domain "" opset 22(%k1_five_shape) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<?xi64>
  %k1_minus = llm.onnx_node "Mul" domain "" opset 22(%k1_ones, %m1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %k1_absent = llm.onnx_node "Equal" domain "" opset 22(%k1_five0, %k1_minus) {} : (tensor<5xi64>, tensor<?xi64>) -> tensor<5xi1>
  %k1_five = llm.onnx_node "Where" domain "" opset 22(%k1_absent, %k1_ones, %k1_five0) {} : (tensor<5xi1>, tensor<?xi64>, tensor<5xi64>) -> tensor<5xi64>
  %k1_four = llm.onnx_node "Concat" domain "" opset 22(%k1_b, %h, %k1_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %k1_u = llm.onnx_node "Unsqueeze" domain "" opset 22(%k1_present, %v2) {} : (tensor<?x2x?x4xf16>, tensor<1xi64>) -> tensor<?x2x1x?x4xf16>
  %k1_e = llm.onnx_node "Expand" domain "" opset 22(%k1_u, %k1_five) {} : (tensor<?x2x1x?x4xf16>, tensor<5xi64>) -> tensor<?x?x?x?x?xf16>
  %k1_f = llm.onnx_node "Reshape" domain "" opset 22(%k1_e, %k1_four) {} : (tensor<?x?x?x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %k1_ft = llm.onnx_node "Transpose" domain "" opset 22(%k1_f) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %k1_out = llm.onnx_node "Reshape" domain "" opset 22(%k1_ft, %merge) {} : (tensor<?x?x?x?xf16>, tensor<3xi64>) -> tensor<?x?x16xf16>
  // expected-remark @below {{keys or values are not those of a cache}}
  %y1 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %k1_out, %vout, %none, %none, %amask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // Heads and tokens exchanged.
  %k2_r = llm.onnx_node "Reshape" domain "" opset 22(%k, %split) {} : (tensor<?x?x8xf16>, tensor<4xi64>) -> tensor<?x?x2x?xf16>
  %k2_x = llm.onnx_node "Transpose" domain "" opset 22(%k2_r) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x?xf16>) -> tensor<?x2x?x?xf16>
  %k2_present = llm.onnx_node "Concat" domain "" opset 22(%p2, %k2_x) {axis = 2 : i64} : (tensor<?x2x?x4xf16>, tensor<?x2x?x?xf16>) -> tensor<?x2x?x4xf16>
  %k2_shape = llm.onnx_node "Shape" domain "" opset 22(%k2_present) {} : (tensor<?x2x?x4xf16>) -> tensor<4xi64>
  %k2_b0 = llm.onnx_node "Gather" domain "" opset 22(%k2_shape, %i0) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %k2_b = llm.onnx_node "Unsqueeze" domain "" opset 22(%k2_b0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %k2_t0 = llm.onnx_node "Gather" domain "" opset 22(%k2_shape, %i2) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %k2_t = llm.onnx_node "Unsqueeze" domain "" opset 22(%k2_t0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %k2_five0 = llm.onnx_node "Concat" domain "" opset 22(%k2_b, %kv, %v2, %k2_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<5xi64>
  %k2_five_shape = llm.onnx_node "Shape" domain "" opset 22(%k2_five0) {} : (tensor<5xi64>) -> tensor<1xi64>
  %k2_ones = llm.onnx_node "ConstantOfShape" domain "" opset 22(%k2_five_shape) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<?xi64>
  %k2_minus = llm.onnx_node "Mul" domain "" opset 22(%k2_ones, %m1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %k2_absent = llm.onnx_node "Equal" domain "" opset 22(%k2_five0, %k2_minus) {} : (tensor<5xi64>, tensor<?xi64>) -> tensor<5xi1>
  %k2_five = llm.onnx_node "Where" domain "" opset 22(%k2_absent, %k2_ones, %k2_five0) {} : (tensor<5xi1>, tensor<?xi64>, tensor<5xi64>) -> tensor<5xi64>
  %k2_four = llm.onnx_node "Concat" domain "" opset 22(%k2_b, %k2_t, %h, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %k2_u = llm.onnx_node "Unsqueeze" domain "" opset 22(%k2_present, %v2) {} : (tensor<?x2x?x4xf16>, tensor<1xi64>) -> tensor<?x2x1x?x4xf16>
  %k2_e = llm.onnx_node "Expand" domain "" opset 22(%k2_u, %k2_five) {} : (tensor<?x2x1x?x4xf16>, tensor<5xi64>) -> tensor<?x?x?x?x?xf16>
  %k2_f = llm.onnx_node "Reshape" domain "" opset 22(%k2_e, %k2_four) {} : (tensor<?x?x?x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %k2_ft = llm.onnx_node "Transpose" domain "" opset 22(%k2_f) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %k2_out = llm.onnx_node "Reshape" domain "" opset 22(%k2_ft, %merge) {} : (tensor<?x?x?x?xf16>, tensor<3xi64>) -> tensor<?x?x16xf16>
  // expected-remark @below {{keys or values are not those of a cache}}
  %y2 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %k2_out, %vout, %none, %none, %amask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // Along the heads.
  %k3_r = llm.onnx_node "Reshape" domain "" opset 22(%k, %split) {} : (tensor<?x?x8xf16>, tensor<4xi64>) -> tensor<?x?x2x?xf16>
  %k3_x = llm.onnx_node "Transpose" domain "" opset 22(%k3_r) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x?xf16>) -> tensor<?x2x?x?xf16>
  %k3_present = llm.onnx_node "Concat" domain "" opset 22(%p3, %k3_x) {axis = 1 : i64} : (tensor<?x2x?x4xf16>, tensor<?x2x?x?xf16>) -> tensor<?x2x?x4xf16>
  %k3_shape = llm.onnx_node "Shape" domain "" opset 22(%k3_present) {} : (tensor<?x2x?x4xf16>) -> tensor<4xi64>
  %k3_b0 = llm.onnx_node "Gather" domain "" opset 22(%k3_shape, %i0) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %k3_b = llm.onnx_node "Unsqueeze" domain "" opset 22(%k3_b0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %k3_t0 = llm.onnx_node "Gather" domain "" opset 22(%k3_shape, %i2) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %k3_t = llm.onnx_node "Unsqueeze" domain "" opset 22(%k3_t0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %k3_five0 = llm.onnx_node "Concat" domain "" opset 22(%k3_b, %kv, %v2, %k3_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<5xi64>
  %k3_five_shape = llm.onnx_node "Shape" domain "" opset 22(%k3_five0) {} : (tensor<5xi64>) -> tensor<1xi64>
  %k3_ones = llm.onnx_node "ConstantOfShape" domain "" opset 22(%k3_five_shape) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<?xi64>
  %k3_minus = llm.onnx_node "Mul" domain "" opset 22(%k3_ones, %m1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %k3_absent = llm.onnx_node "Equal" domain "" opset 22(%k3_five0, %k3_minus) {} : (tensor<5xi64>, tensor<?xi64>) -> tensor<5xi1>
  %k3_five = llm.onnx_node "Where" domain "" opset 22(%k3_absent, %k3_ones, %k3_five0) {} : (tensor<5xi1>, tensor<?xi64>, tensor<5xi64>) -> tensor<5xi64>
  %k3_four = llm.onnx_node "Concat" domain "" opset 22(%k3_b, %h, %k3_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %k3_u = llm.onnx_node "Unsqueeze" domain "" opset 22(%k3_present, %v2) {} : (tensor<?x2x?x4xf16>, tensor<1xi64>) -> tensor<?x2x1x?x4xf16>
  %k3_e = llm.onnx_node "Expand" domain "" opset 22(%k3_u, %k3_five) {} : (tensor<?x2x1x?x4xf16>, tensor<5xi64>) -> tensor<?x?x?x?x?xf16>
  %k3_f = llm.onnx_node "Reshape" domain "" opset 22(%k3_e, %k3_four) {} : (tensor<?x?x?x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %k3_ft = llm.onnx_node "Transpose" domain "" opset 22(%k3_f) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %k3_out = llm.onnx_node "Reshape" domain "" opset 22(%k3_ft, %merge) {} : (tensor<?x?x?x?xf16>, tensor<3xi64>) -> tensor<?x?x16xf16>
  // expected-remark @below {{keys or values are not those of a cache}}
  %y3 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %k3_out, %vout, %none, %none, %amask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // No output of the graph.
  %own_r = llm.onnx_node "Reshape" domain "" opset 22(%k, %split) {} : (tensor<?x?x8xf16>, tensor<4xi64>) -> tensor<?x?x2x?xf16>
  %own_x = llm.onnx_node "Transpose" domain "" opset 22(%own_r) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x?xf16>) -> tensor<?x2x?x?xf16>
  %own_present = llm.onnx_node "Concat" domain "" opset 22(%pk, %own_x) {axis = 2 : i64} : (tensor<?x2x?x4xf16>, tensor<?x2x?x?xf16>) -> tensor<?x2x?x4xf16>
  %own_shape = llm.onnx_node "Shape" domain "" opset 22(%own_present) {} : (tensor<?x2x?x4xf16>) -> tensor<4xi64>
  %own_b0 = llm.onnx_node "Gather" domain "" opset 22(%own_shape, %i0) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %own_b = llm.onnx_node "Unsqueeze" domain "" opset 22(%own_b0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %own_t0 = llm.onnx_node "Gather" domain "" opset 22(%own_shape, %i2) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %own_t = llm.onnx_node "Unsqueeze" domain "" opset 22(%own_t0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %own_five0 = llm.onnx_node "Concat" domain "" opset 22(%own_b, %kv, %v2, %own_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<5xi64>
  %own_five_shape = llm.onnx_node "Shape" domain "" opset 22(%own_five0) {} : (tensor<5xi64>) -> tensor<1xi64>
  %own_ones = llm.onnx_node "ConstantOfShape" domain "" opset 22(%own_five_shape) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<?xi64>
  %own_minus = llm.onnx_node "Mul" domain "" opset 22(%own_ones, %m1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %own_absent = llm.onnx_node "Equal" domain "" opset 22(%own_five0, %own_minus) {} : (tensor<5xi64>, tensor<?xi64>) -> tensor<5xi1>
  %own_five = llm.onnx_node "Where" domain "" opset 22(%own_absent, %own_ones, %own_five0) {} : (tensor<5xi1>, tensor<?xi64>, tensor<5xi64>) -> tensor<5xi64>
  %own_four = llm.onnx_node "Concat" domain "" opset 22(%own_b, %h, %own_t, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %own_u = llm.onnx_node "Unsqueeze" domain "" opset 22(%own_present, %v2) {} : (tensor<?x2x?x4xf16>, tensor<1xi64>) -> tensor<?x2x1x?x4xf16>
  %own_e = llm.onnx_node "Expand" domain "" opset 22(%own_u, %own_five) {} : (tensor<?x2x1x?x4xf16>, tensor<5xi64>) -> tensor<?x?x?x?x?xf16>
  %own_f = llm.onnx_node "Reshape" domain "" opset 22(%own_e, %own_four) {} : (tensor<?x?x?x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %own_ft = llm.onnx_node "Transpose" domain "" opset 22(%own_f) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %own_out = llm.onnx_node "Reshape" domain "" opset 22(%own_ft, %merge) {} : (tensor<?x?x?x?xf16>, tensor<3xi64>) -> tensor<?x?x16xf16>
  // expected-remark @below {{keys or values are not those of a cache}}
  %o = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %own_out, %vout, %none, %none, %amask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  return %y0, %k0_present, %y1, %k1_present, %y2, %k2_present, %y3, %k3_present, %o, %vpresent : tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x?x16xf16>, tensor<?x2x?x4xf16>
}
