// RUN: llmc-opt %s --split-input-file --llmc-insert-barriers --verify-diagnostics | FileCheck %s

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

// Rows to rows of one place: no barrier. Rows to panels and back: a barrier each. Two calls that read one value: none
// between them. A write over bytes that another split still reads: a barrier.
// CHECK-LABEL: func.func @step
// CHECK:       over {{ *}}rows 1 row_bytes 64 offset 0
// CHECK-NEXT:  {{.*}}over {{ *}}rows 1 row_bytes 64 offset 64
// CHECK-NEXT:  kernel.barrier few|tiles
// CHECK-NEXT:  {{.*}}over {{ *}}panels 1 row_bytes 64 offset 128
// CHECK-NEXT:  {{.*}}over {{ *}}panels 1 row_bytes 64 offset 192
// CHECK-NEXT:  kernel.barrier few|tiles
// CHECK-NEXT:  {{.*}}over {{ *}}rows 1 row_bytes 64 offset 0
// CHECK-NEXT:  kernel.barrier few|tiles
// CHECK-NEXT:  {{.*}}over {{ *}}panels 1 row_bytes 64 offset 128
func.func @step() -> tensor<?x8xf32> {
  %a = kernel.call [@k]() [] over rows 1 row_bytes 64 offset 0 : () -> tensor<?x8xf32>
  %b = kernel.call [@k](%a) ["x"] over rows 1 row_bytes 64 offset 64 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %c = kernel.call [@k](%b) ["x"] over panels 1 row_bytes 64 offset 128 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = kernel.call [@k](%b) ["x"] over panels 1 row_bytes 64 offset 192 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = kernel.call [@k](%c, %d) ["x", "w"] over rows 1 row_bytes 64 offset 0 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %f = kernel.call [@k](%d) ["x"] over panels 1 row_bytes 64 offset 128 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %f : tensor<?x8xf32>
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

func.func @step() -> tensor<?x8xf32> {
  // expected-error @below {{has no offset: run plan-memory first}}
  %a = kernel.call [@k]() [] over rows 1 row_bytes 64 : () -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

// What every thread computes for itself needs no barrier after it with few rows, but one before it: it reads all rows.
// Blocks are not rows in any mode; logit rows are never split by rows.
// CHECK-LABEL: func.func @replicated
// CHECK:       over {{ *}}panels 1 row_bytes 64 offset 0
// CHECK-NEXT:  kernel.barrier few|tiles
// CHECK-NEXT:  {{.*}}replicated
// CHECK-NEXT:  kernel.barrier tiles
// CHECK-NEXT:  {{.*}}over {{ *}}panels 1 row_bytes 64 offset 128
// CHECK-NEXT:  kernel.barrier few|tiles|rows
// CHECK-NEXT:  {{.*}}over {{ *}}blocks 1 row_bytes 64 offset 192
// CHECK-NEXT:  kernel.barrier few|tiles|rows
// CHECK-NEXT:  {{.*}}over {{ *}}rows 1 row_bytes 64 offset 0 {{.*}}logit_rows
// CHECK-NEXT:  kernel.barrier few|tiles|rows
// CHECK-NEXT:  {{.*}}over {{ *}}panels 1 row_bytes 64 offset 64 {{.*}}logit_rows
func.func @replicated() -> tensor<?x8xf32> {
  %a = kernel.call [@k]() [] over panels 1 row_bytes 64 offset 0 : () -> tensor<?x8xf32>
  %b = kernel.call [@k](%a) ["x"] over rows 1 row_bytes 64 offset 64 {private_offset = 0 : i64, replicated} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %c = kernel.call [@k](%b) ["x"] over panels 1 row_bytes 64 offset 128 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = kernel.call [@k](%c) ["x"] over blocks 1 row_bytes 64 offset 192 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = kernel.call [@k](%d) ["x"] over rows 1 row_bytes 64 offset 0 {logit_rows} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %f = kernel.call [@k](%e) ["x"] over panels 1 row_bytes 64 offset 64 {logit_rows} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %f : tensor<?x8xf32>
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

// In steps of few rows %b does not run and %c reads %a; in others %c reads %b alone.
// CHECK-LABEL: func.func @by_rows
// CHECK:       over {{ *}}panels 1 row_bytes 64 offset 0
// CHECK-NEXT:  kernel.barrier tiles
// CHECK-NEXT:  {{.*}}many
// CHECK-NEXT:  kernel.by_rows
// CHECK-NEXT:  kernel.barrier few|tiles
// CHECK-NEXT:  {{.*}}over {{ *}}panels 1 row_bytes 64 offset 128
func.func @by_rows() -> tensor<?x8xf32> {
  %a = kernel.call [@k]() [] over panels 1 row_bytes 64 offset 0 : () -> tensor<?x8xf32>
  %b = kernel.call [@k](%a) ["x"] over rows 1 row_bytes 64 offset 64 {many} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %p = kernel.by_rows %a, %b : tensor<?x8xf32>, tensor<?x8xf32> -> tensor<?x8xf32>
  %c = kernel.call [@k](%p) ["x"] over panels 1 row_bytes 64 offset 128 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %c : tensor<?x8xf32>
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>
kernel.func @m family matmul row "matmul_wf32a32_m1_avx2" rows 1 to 9 block 1 #kernel.matmul<n = 8, k = 8, w = <kind = f32>, x_stride = 64, y_stride = 256>

// Experts' panels cross rows in all modes. Several units of each row are not the rows that another call has; as many of
// each are.
// CHECK-LABEL: func.func @experts
// CHECK:       offset 0 {rows_each = 2
// CHECK-NEXT:  kernel.barrier few|tiles|rows
// CHECK-NEXT:  {{.*}}over {{ *}}experts 1 row_bytes 64 offset 64
// CHECK-NEXT:  kernel.barrier few|tiles|rows
// CHECK-NEXT:  {{.*}}offset 128 {rows_each = 2
// CHECK-NEXT:  kernel.barrier few|tiles|rows
// CHECK-NEXT:  {{.*}}over {{ *}}rows 1 row_bytes 64 offset 192
func.func @experts() -> tensor<?x8xf32> {
  %a = kernel.call [@k]() [] over rows 1 row_bytes 64 offset 0 {rows_each = 2 : i64} : () -> tensor<?x8xf32>
  %b = kernel.call [@m, @m](%a) ["x"] over experts 1 row_bytes 64 offset 64 {experts = 4 : i64, few_callees = 1 : i64, rows_each = 2 : i64} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %c = kernel.call [@k](%b) ["x"] over rows 1 row_bytes 64 offset 128 {rows_each = 2 : i64} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = kernel.call [@k](%c) ["x"] over rows 1 row_bytes 64 offset 192 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %d : tensor<?x8xf32>
}
