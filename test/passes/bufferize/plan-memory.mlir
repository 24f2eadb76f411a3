// RUN: llmc-opt %s --split-input-file --llmc-plan-memory --verify-diagnostics | FileCheck %s

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

// a and b live together; c starts when a is dead and takes its place; d is in place of c; logits have their own arena.
// CHECK-LABEL: func.func @step
// CHECK-SAME:  kernel.arena_row_bytes = 192
// CHECK-SAME:  kernel.logit_arena_row_bytes = 256
// CHECK-SAME:  kernel.logits_offset = 0
// CHECK-SAME:  kernel.logits_stride = 256
// CHECK:       row_bytes 128 offset 0
// CHECK:       row_bytes 64 offset 128
// CHECK:       row_bytes 64 offset 0
// CHECK:       tied 0 row_bytes 64 offset 0
// CHECK:       row_bytes 256 offset 0 {{.*}}logit_rows
func.func @step() -> tensor<?x8xf32> {
  %a = kernel.call [@k]() [] over rows 1 row_bytes 128 : () -> tensor<?x8xf32>
  %b = kernel.call [@k](%a) ["x"] over rows 1 row_bytes 64 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %c = kernel.call [@k](%b) ["x"] over rows 1 row_bytes 64 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = kernel.call [@k](%c, %b) ["x", "w"] over rows 1 tied 0 row_bytes 64 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %l = kernel.call [@k](%d) ["x"] over rows 1 row_bytes 256 {logit_rows} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %l : tensor<?x8xf32>
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

// Two calls write parts of one buffer.
// CHECK-LABEL: func.func @step
// CHECK-SAME:  kernel.arena_row_bytes = 128
// CHECK:       kernel.alloc row_bytes 128 offset 0
// CHECK:       tied 0 row_bytes 128 offset 0
// CHECK:       tied 0 row_bytes 128 offset 0 {column_offset = 64
func.func @step() -> tensor<?x16xf32> {
  %a = kernel.alloc row_bytes 128 : tensor<?x16xf32>
  %b = kernel.call [@k](%a) ["y"] over rows 1 tied 0 row_bytes 128 : (tensor<?x16xf32>) -> tensor<?x16xf32>
  %c = kernel.call [@k](%b) ["y"] over rows 1 tied 0 row_bytes 128 {column_offset = 64 : i64} : (tensor<?x16xf32>) -> tensor<?x16xf32>
  return %c : tensor<?x16xf32>
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

func.func @step() -> tensor<?x8xf32> {
  %a = kernel.call [@k]() [] over rows 1 row_bytes 64 : () -> tensor<?x8xf32>
  %b = kernel.call [@k](%a) ["x"] over rows 1 tied 0 row_bytes 64 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  // expected-error @below {{reads a value that an earlier call overwrote in place}}
  %c = kernel.call [@k](%a, %b) ["x", "w"] over rows 1 row_bytes 64 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %c : tensor<?x8xf32>
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

// Replicated values have a place in each thread's own memory as well, among themselves: b is dead when d starts.
// CHECK-LABEL: func.func @step
// CHECK-SAME:  kernel.private_bytes = 384
// CHECK:       row_bytes 64 offset 0
// CHECK:       row_bytes 64 offset 64 {{.*}}private_offset = 0
// CHECK:       row_bytes 64 offset 0
// CHECK:       row_bytes 64 offset 64 {{.*}}private_offset = 0
func.func @step() -> tensor<?x8xf32> {
  %a = kernel.call [@k]() [] over panels 1 row_bytes 64 : () -> tensor<?x8xf32>
  %b = kernel.call [@k](%a) ["x"] over rows 1 row_bytes 64 {replicated} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %c = kernel.call [@k](%b) ["x"] over panels 1 row_bytes 64 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = kernel.call [@k](%c) ["x"] over rows 1 row_bytes 64 {replicated} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %d : tensor<?x8xf32>
}

// -----

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

// Both values live until the last reader of the choice between them.
// CHECK-LABEL: func.func @step
// CHECK:       row_bytes 64 offset 0
// CHECK:       row_bytes 64 offset 64 {{.*}}many
// CHECK:       row_bytes 64 offset 128
// CHECK:       row_bytes 64 offset 192
func.func @step() -> tensor<?x8xf32> {
  %a = kernel.call [@k]() [] over panels 1 row_bytes 64 : () -> tensor<?x8xf32>
  %b = kernel.call [@k](%a) ["x"] over rows 1 row_bytes 64 {many} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %p = kernel.by_rows %a, %b : tensor<?x8xf32>, tensor<?x8xf32> -> tensor<?x8xf32>
  %c = kernel.call [@k]() [] over panels 1 row_bytes 64 : () -> tensor<?x8xf32>
  %d = kernel.call [@k](%p, %c) ["x", "w"] over panels 1 row_bytes 64 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %d : tensor<?x8xf32>
}
