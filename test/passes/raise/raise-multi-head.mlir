// RUN: llmc-opt %s --llmc-raise-attention --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s

// The model builder's float16: explicit mask and cache, each head of the cache twice.
// CHECK-LABEL: func @step
// CHECK-SAME:    %[[P:[a-z0-9]*]]: tensor<?xi32>, %{{[a-z0-9]*}}: tensor<?xi32>, %{{[a-z0-9]*}}: tensor<?x?xi64> {{.*}} %[[PK:[a-z0-9]*]]: tensor<?x2x?x4xf16> {{.*}} %[[PV:[a-z0-9]*]]: tensor<?x2x?x4xf16>
// CHECK-DAG:     %[[Q:.*]] = builtin.unrealized_conversion_cast %arg6 : tensor<?x?x16xf16> to tensor<?x16xf32>
// CHECK-DAG:     %[[K:.*]] = builtin.unrealized_conversion_cast %arg7 : tensor<?x?x8xf16> to tensor<?x8xf32>
// CHECK-DAG:     %[[V:.*]] = builtin.unrealized_conversion_cast %arg8 : tensor<?x?x8xf16> to tensor<?x8xf32>
// CHECK:         llm.attention %[[Q]], %[[K]], %[[V]], %[[P]] {head_dim = 4 : i64, heads = 4 : i64, kv_heads = 2 : i64, layer = 0 : i64, scale = 2.500000e-01 : f32}
// CHECK:         return %{{.*}}, %[[PK]], %[[PV]]
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf16> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf16> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf16>, %k: tensor<?x?x8xf16>, %v: tensor<?x?x8xf16>, %v4: tensor<4xi64>)
    -> (tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x2x?x4xf16>) {
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
  %kr = llm.onnx_node "Reshape" domain "" opset 22(%k, %split) {} : (tensor<?x?x8xf16>, tensor<4xi64>) -> tensor<?x?x2x?xf16>
  %kx = llm.onnx_node "Transpose" domain "" opset 22(%kr) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x?xf16>) -> tensor<?x2x?x?xf16>
  %kpresent = llm.onnx_node "Concat" domain "" opset 22(%pk, %kx) {axis = 2 : i64} : (tensor<?x2x?x4xf16>, tensor<?x2x?x?xf16>) -> tensor<?x2x?x4xf16>
  %kshape = llm.onnx_node "Shape" domain "" opset 22(%kpresent) {} : (tensor<?x2x?x4xf16>) -> tensor<4xi64>
  %kb0 = llm.onnx_node "Gather" domain "" opset 22(%kshape, %i0) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %kb = llm.onnx_node "Unsqueeze" domain "" opset 22(%kb0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %kt0 = llm.onnx_node "Gather" domain "" opset 22(%kshape, %i2) {axis = 0 : i64} : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %kt = llm.onnx_node "Unsqueeze" domain "" opset 22(%kt0, %v0) {} : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %kfive0 = llm.onnx_node "Concat" domain "" opset 22(%kb, %kv, %v2, %kt, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<5xi64>
  %kfive_shape = llm.onnx_node "Shape" domain "" opset 22(%kfive0) {} : (tensor<5xi64>) -> tensor<1xi64>
  %kones = llm.onnx_node "ConstantOfShape" domain "" opset 22(%kfive_shape) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<?xi64>
  %kminus = llm.onnx_node "Mul" domain "" opset 22(%kones, %m1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %kabsent = llm.onnx_node "Equal" domain "" opset 22(%kfive0, %kminus) {} : (tensor<5xi64>, tensor<?xi64>) -> tensor<5xi1>
  %kfive = llm.onnx_node "Where" domain "" opset 22(%kabsent, %kones, %kfive0) {} : (tensor<5xi1>, tensor<?xi64>, tensor<5xi64>) -> tensor<5xi64>
  %kfour = llm.onnx_node "Concat" domain "" opset 22(%kb, %h, %kt, %d) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %ku = llm.onnx_node "Unsqueeze" domain "" opset 22(%kpresent, %v2) {} : (tensor<?x2x?x4xf16>, tensor<1xi64>) -> tensor<?x2x1x?x4xf16>
  %ke = llm.onnx_node "Expand" domain "" opset 22(%ku, %kfive) {} : (tensor<?x2x1x?x4xf16>, tensor<5xi64>) -> tensor<?x?x?x?x?xf16>
  %kf = llm.onnx_node "Reshape" domain "" opset 22(%ke, %kfour) {} : (tensor<?x?x?x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %kft = llm.onnx_node "Transpose" domain "" opset 22(%kf) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  %kout = llm.onnx_node "Reshape" domain "" opset 22(%kft, %merge) {} : (tensor<?x?x?x?xf16>, tensor<3xi64>) -> tensor<?x?x16xf16>
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
  %y = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kout, %vout, %none, %none, %amask) {num_heads = 4 : i64, scale = 0.25 : f32} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  return %y, %kpresent, %vpresent : tensor<?x?x16xf16>, tensor<?x2x?x4xf16>, tensor<?x2x?x4xf16>
}

// -----

// CHECK-LABEL: func @step
// CHECK-NOT:     llm.attention
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %q: tensor<?x?x16xf16>, %kv: tensor<?x?x16xf16>, %v4: tensor<4xi64>, %b: tensor<48xf16>)
    -> (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>) {
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
  %ln = llm.onnx_node "Concat" domain "" opset 22(%v1, %n) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %ll = llm.onnx_node "Concat" domain "" opset 22(%v1, %v1) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %i2 = llm.onnx_constant dense<2> : tensor<i64> -> tensor<i64>
  %biasless = builtin.unrealized_conversion_cast %v4 : tensor<4xi64> to tensor<?x?x?x?xf16>
  // A row in place of the column.
  %m0_fill = llm.onnx_node "ConstantOfShape" domain "" opset 22(%nn) {value = dense<-65504.0> : tensor<1xf16>} : (tensor<2xi64>) -> tensor<?x?xf16>
  %m0_range = llm.onnx_node "Range" domain "" opset 22(%i0, %n0, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %m0_next = llm.onnx_node "Add" domain "" opset 22(%m0_range, %i1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %m0_column = llm.onnx_node "Reshape" domain "" opset 22(%m0_next, %ln) {} : (tensor<?xi64>, tensor<2xi64>) -> tensor<?x?xi64>
  %m0_less = llm.onnx_node "Less" domain "" opset 22(%m0_range, %m0_column) {} : (tensor<?xi64>, tensor<?x?xi64>) -> tensor<?x?xi1>
  %m0_c = llm.onnx_node "Where" domain "" opset 22(%m0_less, %z, %m0_fill) {} : (tensor<?x?xi1>, tensor<f16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  %m0_c1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m0_c, %v0) {} : (tensor<?x?xf16>, tensor<1xi64>) -> tensor<1x?x?xf16>
  %m0_c2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m0_c1, %v1) {} : (tensor<1x?x?xf16>, tensor<1xi64>) -> tensor<1x1x?x?xf16>
  %m0_c3 = llm.onnx_node "Expand" domain "" opset 22(%m0_c2, %v4) {} : (tensor<1x1x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %m0_mask = llm.onnx_node "Add" domain "" opset 22(%padding, %m0_c3) {} : (tensor<?x?x?x?xf16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  // expected-remark @below {{the attention bias is not a causal mask}}
  %y0 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kv, %kv, %none, %none, %m0_mask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // One row for all tokens.
  %m1_fill = llm.onnx_node "ConstantOfShape" domain "" opset 22(%ll) {value = dense<-65504.0> : tensor<1xf16>} : (tensor<2xi64>) -> tensor<?x?xf16>
  %m1_range = llm.onnx_node "Range" domain "" opset 22(%i0, %n0, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %m1_next = llm.onnx_node "Add" domain "" opset 22(%m1_range, %i1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %m1_column = llm.onnx_node "Reshape" domain "" opset 22(%m1_next, %n1) {} : (tensor<?xi64>, tensor<2xi64>) -> tensor<?x?xi64>
  %m1_less = llm.onnx_node "Less" domain "" opset 22(%m1_range, %m1_column) {} : (tensor<?xi64>, tensor<?x?xi64>) -> tensor<?x?xi1>
  %m1_c = llm.onnx_node "Where" domain "" opset 22(%m1_less, %z, %m1_fill) {} : (tensor<?x?xi1>, tensor<f16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  %m1_c1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m1_c, %v0) {} : (tensor<?x?xf16>, tensor<1xi64>) -> tensor<1x?x?xf16>
  %m1_c2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m1_c1, %v1) {} : (tensor<1x?x?xf16>, tensor<1xi64>) -> tensor<1x1x?x?xf16>
  %m1_c3 = llm.onnx_node "Expand" domain "" opset 22(%m1_c2, %v4) {} : (tensor<1x1x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %m1_mask = llm.onnx_node "Add" domain "" opset 22(%padding, %m1_c3) {} : (tensor<?x?x?x?xf16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  // expected-remark @below {{the attention bias is not a causal mask}}
  %y1 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kv, %kv, %none, %none, %m1_mask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // The other side of the diagonal.
  %m2_fill = llm.onnx_node "ConstantOfShape" domain "" opset 22(%nn) {value = dense<-65504.0> : tensor<1xf16>} : (tensor<2xi64>) -> tensor<?x?xf16>
  %m2_range = llm.onnx_node "Range" domain "" opset 22(%i0, %n0, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %m2_next = llm.onnx_node "Add" domain "" opset 22(%m2_range, %i1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %m2_column = llm.onnx_node "Reshape" domain "" opset 22(%m2_next, %n1) {} : (tensor<?xi64>, tensor<2xi64>) -> tensor<?x?xi64>
  %m2_less = llm.onnx_node "Less" domain "" opset 22(%m2_column, %m2_range) {} : (tensor<?x?xi64>, tensor<?xi64>) -> tensor<?x?xi1>
  %m2_c = llm.onnx_node "Where" domain "" opset 22(%m2_less, %z, %m2_fill) {} : (tensor<?x?xi1>, tensor<f16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  %m2_c1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m2_c, %v0) {} : (tensor<?x?xf16>, tensor<1xi64>) -> tensor<1x?x?xf16>
  %m2_c2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m2_c1, %v1) {} : (tensor<1x?x?xf16>, tensor<1xi64>) -> tensor<1x1x?x?xf16>
  %m2_c3 = llm.onnx_node "Expand" domain "" opset 22(%m2_c2, %v4) {} : (tensor<1x1x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %m2_mask = llm.onnx_node "Add" domain "" opset 22(%padding, %m2_c3) {} : (tensor<?x?x?x?xf16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  // expected-remark @below {{the attention bias is not a causal mask}}
  %y2 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kv, %kv, %none, %none, %m2_mask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // A bias that masks nothing.
  %m3_fill = llm.onnx_node "ConstantOfShape" domain "" opset 22(%nn) {value = dense<-1.0> : tensor<1xf16>} : (tensor<2xi64>) -> tensor<?x?xf16>
  %m3_range = llm.onnx_node "Range" domain "" opset 22(%i0, %n0, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %m3_next = llm.onnx_node "Add" domain "" opset 22(%m3_range, %i1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %m3_column = llm.onnx_node "Reshape" domain "" opset 22(%m3_next, %n1) {} : (tensor<?xi64>, tensor<2xi64>) -> tensor<?x?xi64>
  %m3_less = llm.onnx_node "Less" domain "" opset 22(%m3_range, %m3_column) {} : (tensor<?xi64>, tensor<?x?xi64>) -> tensor<?x?xi1>
  %m3_c = llm.onnx_node "Where" domain "" opset 22(%m3_less, %z, %m3_fill) {} : (tensor<?x?xi1>, tensor<f16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  %m3_c1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m3_c, %v0) {} : (tensor<?x?xf16>, tensor<1xi64>) -> tensor<1x?x?xf16>
  %m3_c2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m3_c1, %v1) {} : (tensor<1x?x?xf16>, tensor<1xi64>) -> tensor<1x1x?x?xf16>
  %m3_c3 = llm.onnx_node "Expand" domain "" opset 22(%m3_c2, %v4) {} : (tensor<1x1x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %m3_mask = llm.onnx_node "Add" domain "" opset 22(%padding, %m3_c3) {} : (tensor<?x?x?x?xf16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  // expected-remark @below {{the attention bias is not a causal mask}}
  %y3 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kv, %kv, %none, %none, %m3_mask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // No mask of the padding.
  %m4_fill = llm.onnx_node "ConstantOfShape" domain "" opset 22(%nn) {value = dense<-65504.0> : tensor<1xf16>} : (tensor<2xi64>) -> tensor<?x?xf16>
  %m4_range = llm.onnx_node "Range" domain "" opset 22(%i0, %n0, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %m4_next = llm.onnx_node "Add" domain "" opset 22(%m4_range, %i1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %m4_column = llm.onnx_node "Reshape" domain "" opset 22(%m4_next, %n1) {} : (tensor<?xi64>, tensor<2xi64>) -> tensor<?x?xi64>
  %m4_less = llm.onnx_node "Less" domain "" opset 22(%m4_range, %m4_column) {} : (tensor<?xi64>, tensor<?x?xi64>) -> tensor<?x?xi1>
  %m4_c = llm.onnx_node "Where" domain "" opset 22(%m4_less, %z, %m4_fill) {} : (tensor<?x?xi1>, tensor<f16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  %m4_c1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m4_c, %v0) {} : (tensor<?x?xf16>, tensor<1xi64>) -> tensor<1x?x?xf16>
  %m4_c2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m4_c1, %v1) {} : (tensor<1x?x?xf16>, tensor<1xi64>) -> tensor<1x1x?x?xf16>
  %m4_c3 = llm.onnx_node "Expand" domain "" opset 22(%m4_c2, %v4) {} : (tensor<1x1x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %m4_mask = llm.onnx_node "Add" domain "" opset 22(%biasless, %m4_c3) {} : (tensor<?x?x?x?xf16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  // expected-remark @below {{the attention bias is not a causal mask}}
  %y4 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kv, %kv, %none, %none, %m4_mask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // Another count.
  %m5_fill = llm.onnx_node "ConstantOfShape" domain "" opset 22(%nn) {value = dense<-65504.0> : tensor<1xf16>} : (tensor<2xi64>) -> tensor<?x?xf16>
  %m5_range = llm.onnx_node "Range" domain "" opset 22(%i0, %i2, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %m5_next = llm.onnx_node "Add" domain "" opset 22(%m5_range, %i1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %m5_column = llm.onnx_node "Reshape" domain "" opset 22(%m5_next, %n1) {} : (tensor<?xi64>, tensor<2xi64>) -> tensor<?x?xi64>
  %m5_less = llm.onnx_node "Less" domain "" opset 22(%m5_range, %m5_column) {} : (tensor<?xi64>, tensor<?x?xi64>) -> tensor<?x?xi1>
  %m5_c = llm.onnx_node "Where" domain "" opset 22(%m5_less, %z, %m5_fill) {} : (tensor<?x?xi1>, tensor<f16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  %m5_c1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m5_c, %v0) {} : (tensor<?x?xf16>, tensor<1xi64>) -> tensor<1x?x?xf16>
  %m5_c2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%m5_c1, %v1) {} : (tensor<1x?x?xf16>, tensor<1xi64>) -> tensor<1x1x?x?xf16>
  %m5_c3 = llm.onnx_node "Expand" domain "" opset 22(%m5_c2, %v4) {} : (tensor<1x1x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %m5_mask = llm.onnx_node "Add" domain "" opset 22(%padding, %m5_c3) {} : (tensor<?x?x?x?xf16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  // expected-remark @below {{the attention bias is not a causal mask}}
  %y5 = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kv, %kv, %none, %none, %m5_mask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // What the node itself must not have.
  %good_fill = llm.onnx_node "ConstantOfShape" domain "" opset 22(%nn) {value = dense<-65504.0> : tensor<1xf16>} : (tensor<2xi64>) -> tensor<?x?xf16>
  %good_range = llm.onnx_node "Range" domain "" opset 22(%i0, %n0, %i1) {} : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %good_next = llm.onnx_node "Add" domain "" opset 22(%good_range, %i1) {} : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %good_column = llm.onnx_node "Reshape" domain "" opset 22(%good_next, %n1) {} : (tensor<?xi64>, tensor<2xi64>) -> tensor<?x?xi64>
  %good_less = llm.onnx_node "Less" domain "" opset 22(%good_range, %good_column) {} : (tensor<?xi64>, tensor<?x?xi64>) -> tensor<?x?xi1>
  %good_c = llm.onnx_node "Where" domain "" opset 22(%good_less, %z, %good_fill) {} : (tensor<?x?xi1>, tensor<f16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  %good_c1 = llm.onnx_node "Unsqueeze" domain "" opset 22(%good_c, %v0) {} : (tensor<?x?xf16>, tensor<1xi64>) -> tensor<1x?x?xf16>
  %good_c2 = llm.onnx_node "Unsqueeze" domain "" opset 22(%good_c1, %v1) {} : (tensor<1x?x?xf16>, tensor<1xi64>) -> tensor<1x1x?x?xf16>
  %good_c3 = llm.onnx_node "Expand" domain "" opset 22(%good_c2, %v4) {} : (tensor<1x1x?x?xf16>, tensor<4xi64>) -> tensor<?x?x?x?xf16>
  %good_mask = llm.onnx_node "Add" domain "" opset 22(%padding, %good_c3) {} : (tensor<?x?x?x?xf16>, tensor<?x?x?x?xf16>) -> tensor<?x?x?x?xf16>
  // expected-remark @below {{unidirectional beside a mask}}
  %u = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kv, %kv, %none, %none, %good_mask) {num_heads = 4 : i64, unidirectional = 1 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, none, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  // expected-remark @below {{a bias, padding mask or past of its own}}
  %w = llm.onnx_node "MultiHeadAttention" domain "com.microsoft" opset 1(%q, %kv, %kv, %b, %none, %good_mask) {num_heads = 4 : i64} : (tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<48xf16>, none, tensor<?x?x?x?xf16>) -> tensor<?x?x16xf16>
  return %y0, %y1, %y2, %y3, %y4, %y5, %u, %w : tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>, tensor<?x?x16xf16>
}
