// RUN: llmc-opt %s --llmc-free-buffers | FileCheck %s

// Behind the last use, of a view as well; what is returned is left.
// CHECK-LABEL: func.func @views
// CHECK:         %[[A:.*]] = memref.alloc(%{{.*}}) : memref<?xf32>
// CHECK:         %[[B:.*]] = memref.alloc(%{{.*}}) : memref<?xf32>
// CHECK:         memref.copy
// CHECK-NEXT:    memref.dealloc %[[A]]
// CHECK-NOT:     memref.dealloc %[[B]]
func.func @views(%n: index) -> memref<?xf32> {
  %a = memref.alloc(%n) : memref<?xf32>
  %b = memref.alloc(%n) : memref<?xf32>
  %v = memref.subview %a[0][%n][1] : memref<?xf32> to memref<?xf32, strided<[1]>>
  %w = memref.cast %b : memref<?xf32> to memref<?xf32, strided<[1], offset: ?>>
  memref.copy %v, %w : memref<?xf32, strided<[1]>> to memref<?xf32, strided<[1], offset: ?>>
  return %b : memref<?xf32>
}

// Each iteration frees its own; what a loop carries on is left to the run.
// CHECK-LABEL: func.func @loops
// CHECK:         %[[START:.*]] = memref.alloc
// CHECK:         scf.for
// CHECK:           %[[OWN:.*]] = memref.alloc
// CHECK:           %[[NEXT:.*]] = memref.alloc
// CHECK:           memref.copy
// CHECK-NEXT:      memref.dealloc %[[OWN]]
// CHECK-NOT:       memref.dealloc %[[NEXT]]
// CHECK:           scf.yield
// CHECK:         memref.load
// CHECK-NEXT:    memref.dealloc %[[START]]
func.func @loops(%n: index) -> f32 {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %start = memref.alloc(%n) : memref<?xf32>
  %end = scf.for %i = %zero to %n step %one iter_args(%now = %start) -> memref<?xf32> {
    %own = memref.alloc(%n) : memref<?xf32>
    %next = memref.alloc(%n) : memref<?xf32>
    memref.copy %own, %next : memref<?xf32> to memref<?xf32>
    scf.yield %next : memref<?xf32>
  }
  %x = memref.load %end[%zero] : memref<?xf32>
  return %x : f32
}
