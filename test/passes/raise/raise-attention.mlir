// RUN: llmc-opt %s --llmc-raise-attention --remarks-filter=refusal --remark-format=emitRemark \
// RUN:   --verify-diagnostics --split-input-file | FileCheck %s

// Packed QKV: three linears whose weights are rows of one storage. The cache is no value any more.
// CHECK: module attributes {llm.max_context = 64 : i64}
// CHECK-DAG: llm.weight @model.layers.0.self_attn.q_proj.weight : tensor<16x8xf32> [#llm.storage<1, 0, 1024>] {stored_rows = 32 : i64, transposed}
// CHECK-DAG: llm.weight @model.layers.0.self_attn.k_proj.weight : tensor<8x8xf32> [#llm.storage<1, 0, 1024>] {row_begin = 16 : i64, stored_rows = 32 : i64, transposed}
// CHECK-DAG: llm.weight @model.layers.0.self_attn.v_proj.weight : tensor<8x8xf32> [#llm.storage<1, 0, 1024>] {row_begin = 24 : i64, stored_rows = 32 : i64, transposed}
// CHECK-LABEL: func @step
// CHECK-SAME:    %[[P:[a-z0-9]*]]: tensor<?xi32>, %{{[a-z0-9]*}}: tensor<?xi32>, %{{[a-z0-9]*}}: tensor<?x?xi64> {{.*}} %[[PK:[a-z0-9]*]]: tensor<?x2x?x4xf32> {{.*}} %[[PV:[a-z0-9]*]]: tensor<?x2x?x4xf32>
// CHECK:         %[[Q:.*]] = llm.linear %[[X:.*]], %{{.*}} -> tensor<?x16xf32>
// CHECK:         %[[K:.*]] = llm.linear %[[X]], %{{.*}} -> tensor<?x8xf32>
// CHECK:         %[[V:.*]] = llm.linear %[[X]], %{{.*}} -> tensor<?x8xf32>
// CHECK:         %[[QR:.*]] = llm.rope %[[Q]], %[[P]] {heads = 4 : i64
// CHECK:         %[[KR:.*]] = llm.rope %[[K]], %[[P]] {heads = 2 : i64
// CHECK:         llm.attention %[[QR]], %[[KR]], %[[V]], %[[P]] {head_dim = 4 : i64, heads = 4 : i64, kv_heads = 2 : i64, layer = 0 : i64, scale = 5.000000e-01 : f32}
// CHECK:         return %{{.*}}, %[[PK]], %[[PV]]
llm.weight @model.layers.0.self_attn.qkv_proj.weight : tensor<32x8xf32> [#llm.storage<1, 0, 1024>] {transposed}
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %h: tensor<?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  %cos = llm.onnx_tensor "cos_cache" <1, 0, 512> {is_cos, rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf32>
  %sin = llm.onnx_tensor "sin_cache" <1, 512, 512> {rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf32>
  %w = llm.get_weight @model.layers.0.self_attn.qkv_proj.weight : tensor<32x8xf32>
  %l = llm.linear %h, %w : tensor<?x8xf32>, tensor<32x8xf32> -> tensor<?x32xf32>
  %qkv = builtin.unrealized_conversion_cast %l : tensor<?x32xf32> to tensor<?x?x32xf32>
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%qkv, %none, %none, %pk, %pv, %seqlens, %total, %cos, %sin) {num_heads = 4 : i64, kv_num_heads = 2 : i64, do_rotary = 1 : i64, softcap = 0.0 : f32, local_window_size = -1 : i64}
    : (tensor<?x?x32xf32>, none, none, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, tensor<64x2xf32>, tensor<64x2xf32>) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// Separate q, k and v, no rotation, the scale and the window of the graph.
// CHECK-NOT: llm.rope
// CHECK:     llm.attention %{{.*}} scale = 1.250000e-01 : f32, window = 8 : i64}
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %none, %none) {num_heads = 4 : i64, kv_num_heads = 2 : i64, scale = 0.125 : f32, local_window_size = 8 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// CHECK: llm.attention %{{.*}} softcap = 5.000000e+00 : f32}
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %none, %none) {num_heads = 4 : i64, kv_num_heads = 2 : i64, softcap = 5.0 : f32}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// CHECK: llm.attention %{{.*}} sinks %{{.*}} : tensor<4xf16>
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  %sink = llm.onnx_tensor "sinks" <0, 0, 8> : tensor<4xf16>
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %none, %none, %none, %none, %sink) {num_heads = 4 : i64, kv_num_heads = 2 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none, none, none, tensor<4xf16>) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// One more logit of 0.
// CHECK: %[[SINKS:.*]] = wq.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK: llm.attention %{{.*}} sinks %[[SINKS]]
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %none, %none) {num_heads = 4 : i64, kv_num_heads = 2 : i64, smooth_softmax = 1 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// A cache of the window's positions holds all that a query sees.
// CHECK: llm.attention %{{.*}} window = 8 : i64}
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %none, %none) {num_heads = 4 : i64, kv_num_heads = 2 : i64, local_window_size = 8 : i64, sliding_window_cache = 1 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// CHECK-NOT: llm.attention
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x6x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x6x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x6x4xf32>, tensor<?x2x6x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  // expected-remark @below {{a sliding_window_cache of 6 positions, expected the window of 8 at least}}
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %none, %none) {num_heads = 4 : i64, kv_num_heads = 2 : i64, local_window_size = 8 : i64, sliding_window_cache = 1 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x6x4xf32>, tensor<?x2x6x4xf32>, tensor<?xi32>, tensor<i32>, none, none) -> (tensor<?x?x16xf32>, tensor<?x2x6x4xf32>, tensor<?x2x6x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x6x4xf32>, tensor<?x2x6x4xf32>
}

// -----

func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>, %bias: tensor<?x?x?x?xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  // expected-remark @below {{attention_bias is not supported}}
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %none, %none, %none, %bias) {num_heads = 4 : i64, kv_num_heads = 2 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none, none, tensor<?x?x?x?xf32>) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>, %other: tensor<?xi32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  // expected-remark @below {{seqlens_k is not the sum of attention_mask minus one}}
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %other, %total, %none, %none) {num_heads = 4 : i64, kv_num_heads = 2 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// A cache that the graph does not return.
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  // expected-remark @below {{past value 'past_key_values.0.value' has another use}}
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %none, %none) {num_heads = 4 : i64, kv_num_heads = 2 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %pv : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// QKV that is not a linear.
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %x: tensor<?x?x32xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  // expected-remark @below {{packed QKV is not the result of a linear with a weight}}
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%x, %none, %none, %pk, %pv, %seqlens, %total, %none, %none) {num_heads = 4 : i64, kv_num_heads = 2 : i64}
    : (tensor<?x?x32xf32>, none, none, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, none, none) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// Rotation by tables that were not recognised.
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>, %mask: tensor<?x?xi64> {llm.name = "attention_mask"},
    %pk: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.key"}, %pv: tensor<?x2x?x4xf32> {llm.name = "past_key_values.0.value"}, %q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %one = llm.onnx_constant dense<1> : tensor<1xi64> -> tensor<1xi64>
  %i = llm.onnx_constant dense<1> : tensor<i64> -> tensor<i64>
  %sum = llm.onnx_node "ReduceSum" domain "" opset 21(%mask, %one) {keepdims = 0 : i64} : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %last = llm.onnx_node "Sub" domain "" opset 21(%sum, %one) {} : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %seqlens = llm.onnx_node "Cast" domain "" opset 21(%last) {to = 6 : i64} : (tensor<?xi64>) -> tensor<?xi32>
  %shape = llm.onnx_node "Shape" domain "" opset 21(%mask) {} : (tensor<?x?xi64>) -> tensor<2xi64>
  %length = llm.onnx_node "Gather" domain "" opset 21(%shape, %i) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %total = llm.onnx_node "Cast" domain "" opset 21(%length) {to = 6 : i64} : (tensor<i64>) -> tensor<i32>
  %none = llm.onnx_none : none
  %cos = llm.onnx_tensor "cos_cache" <1, 0, 512> {no_rope = "no cosines"} : tensor<64x2xf32>
  %sin = llm.onnx_tensor "sin_cache" <1, 512, 512> {rope = #llm.rope<4, half, [1.0, 0.01]>} : tensor<64x2xf32>
  // expected-remark @below {{no cosines}}
  %y:3 = llm.onnx_node "GroupQueryAttention" domain "com.microsoft" opset 1(%q, %k, %v, %pk, %pv, %seqlens, %total, %cos, %sin) {num_heads = 4 : i64, kv_num_heads = 2 : i64, do_rotary = 1 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi32>, tensor<i32>, tensor<64x2xf32>, tensor<64x2xf32>) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y#0, %y#1, %y#2 : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}
