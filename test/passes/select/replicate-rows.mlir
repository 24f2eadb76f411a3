// RUN: llmc-opt %s --llmc-replicate-rows | FileCheck %s

kernel.func @k family rowwise row "rowwise_add_avx2" rows 1 to 8 block 1 #kernel.rowwise<op = "Add", columns = 8, x_stride = 64, y_stride = 64>

// Only what works by rows on a value of its own: not a panel call, not what is overwritten in place, not logit rows, not
// the result.
// CHECK-LABEL: func.func @step
// CHECK-NOT:   replicated
// CHECK:       row_bytes 65{{.*}}replicated
// CHECK-NOT:   replicated
func.func @step() -> tensor<?x8xf32> {
  %x = kernel.call [@k]() [] over rows 1 row_bytes 64 : () -> tensor<?x8xf32>
  %n = kernel.call [@k](%x) ["x"] over rows 1 row_bytes 65 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = kernel.call [@k](%n, %x) ["x", "y"] over panels 1 tied 1 row_bytes 64 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %g = kernel.call [@k](%y) ["x"] over rows 1 row_bytes 64 {logit_rows} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = kernel.call [@k](%g) ["x"] over rows 1 row_bytes 64 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %r : tensor<?x8xf32>
}
