// RUN: llmc-opt %s --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @forms
// CHECK:       llm.moe %arg0, %arg1 gate(%arg2, %arg2) up(%arg2, %arg2) down(%arg3, %arg3) {activation = #llm.activation<silu>, k = 2 : i64}
// CHECK:       llm.experts %arg0, %arg4, %arg5 by %arg1 residual %arg0 : tensor<?x64xf32> {activation = #llm.activation<silu>, hidden = f32, k = 1 : i64}
func.func @forms(%x: tensor<?x64xf32>, %l: tensor<?x2xf32>, %g: tensor<32x64xf16>, %d: tensor<64x32xf16>,
                 %gs: tensor<128x64xf16>, %ds: tensor<128x32xf16>) -> tensor<?x64xf32> {
  %y = llm.moe %x, %l gate(%g, %g) up(%g, %g) down(%d, %d) {activation = #llm.activation<silu>, k = 2 : i64} : tensor<?x64xf32>, tensor<?x2xf32> (tensor<32x64xf16>, tensor<32x64xf16>) (tensor<32x64xf16>, tensor<32x64xf16>) (tensor<64x32xf16>, tensor<64x32xf16>)
  %z = llm.experts %x, %gs, %ds by %l residual %x : tensor<?x64xf32> {activation = #llm.activation<silu>, hidden = f32, k = 1 : i64} : tensor<?x64xf32>, tensor<128x64xf16>, tensor<128x32xf16>, tensor<?x2xf32> -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

func.func @too_many(%x: tensor<?x64xf32>, %l: tensor<?x1xf32>, %g: tensor<32x64xf16>, %d: tensor<64x32xf16>) {
  // expected-error @below {{chooses 2 of 1 experts, expected 1 or more of them}}
  %y = llm.moe %x, %l gate(%g) up(%g) down(%d) {activation = #llm.activation<silu>, k = 2 : i64} : tensor<?x64xf32>, tensor<?x1xf32> (tensor<32x64xf16>) (tensor<32x64xf16>) (tensor<64x32xf16>)
  return
}

// -----

func.func @logits(%x: tensor<?x64xf32>, %l: tensor<?x2xf32>, %g: tensor<32x64xf16>, %d: tensor<64x32xf16>) {
  // expected-error @below {{has 1 gate weights and 2 logits}}
  %y = llm.moe %x, %l gate(%g) up(%g) down(%d) {activation = #llm.activation<silu>, k = 2 : i64} : tensor<?x64xf32>, tensor<?x2xf32> (tensor<32x64xf16>) (tensor<32x64xf16>) (tensor<64x32xf16>)
  return
}

// -----

func.func @shapes(%x: tensor<?x64xf32>, %l: tensor<?x1xf32>, %g: tensor<32x64xf16>) {
  // expected-error @below {{expects gate and up of 32 x 64, down of 64 x 32 elements}}
  %y = llm.moe %x, %l gate(%g) up(%g) down(%g) {activation = #llm.activation<silu>, k = 1 : i64} : tensor<?x64xf32>, tensor<?x1xf32> (tensor<32x64xf16>) (tensor<32x64xf16>) (tensor<32x64xf16>)
  return
}

// -----

func.func @no_activation(%x: tensor<?x64xf32>, %l: tensor<?x1xf32>, %g: tensor<32x64xf16>, %d: tensor<64x32xf16>) {
  // expected-error @below {{expects an activation}}
  %y = llm.moe %x, %l gate(%g) up(%g) down(%d) {activation = #llm.activation<none>, k = 1 : i64} : tensor<?x64xf32>, tensor<?x1xf32> (tensor<32x64xf16>) (tensor<32x64xf16>) (tensor<64x32xf16>)
  return
}

// -----

func.func @stacked(%x: tensor<?x64xf32>, %l: tensor<?x2xf32>, %g: tensor<64x64xf16>, %d: tensor<128x32xf16>) {
  // expected-error @below {{expects weights of 2 experts: 128 x 64 and 128 x 32 elements}}
  %y = llm.experts %x, %g, %d by %l {activation = #llm.activation<silu>, hidden = f32, k = 1 : i64} : tensor<?x64xf32>, tensor<64x64xf16>, tensor<128x32xf16>, tensor<?x2xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @panels(%x: tensor<?x32xf32>, %l: tensor<?x1xf32>, %g: tensor<64x32xf16>, %d: tensor<32x32xf16>) {
  // expected-error @below {{expects hidden rows of a multiple of 32 columns and rows of a multiple of 64, has 32 and 32}}
  %y = llm.experts %x, %g, %d by %l {activation = #llm.activation<silu>, hidden = f32, k = 1 : i64} : tensor<?x32xf32>, tensor<64x32xf16>, tensor<32x32xf16>, tensor<?x1xf32> -> tensor<?x32xf32>
  return
}

// -----

func.func @residual(%x: tensor<?x64xf32>, %r: tensor<?x32xf32>, %l: tensor<?x1xf32>, %g: tensor<64x64xf16>, %d: tensor<64x32xf16>) {
  // expected-error @below {{changes the width of its rows}}
  %y = llm.experts %x, %g, %d by %l residual %r : tensor<?x32xf32> {activation = #llm.activation<silu>, hidden = f32, k = 1 : i64} : tensor<?x64xf32>, tensor<64x64xf16>, tensor<64x32xf16>, tensor<?x1xf32> -> tensor<?x64xf32>
  return
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>
func.func @calls() {
  // expected-error @below {{has 0 rows for each row, expected 1 or more}}
  %a = kernel.call [@k]() [] over rows 1 row_bytes 64 {rows_each = 0 : i64} : () -> tensor<?x8xf32>
  return
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>
func.func @partition() {
  // expected-error @below {{has 4 experts over another partition}}
  %a = kernel.call [@k]() [] over rows 1 row_bytes 64 {experts = 4 : i64} : () -> tensor<?x8xf32>
  return
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>
func.func @classes() {
  // expected-error @below {{has 1 of 1 callees for steps of few rows, expected some for each}}
  %a = kernel.call [@k]() [] over experts 1 row_bytes 64 {experts = 4 : i64, few_callees = 1 : i64} : () -> tensor<?x8xf32>
  return
}
