// RUN: llmc-opt %s --llmc-outline-loops --split-input-file --verify-diagnostics | FileCheck %s

// Equal operations share a function, another one has its own; constants are not passed but cloned.
// CHECK:       func.func private @llmc_graph_loops_1(%{{.*}}: !llvm.ptr, %{{.*}}: memref<?xf32>, %{{.*}}: memref<?xf32>) attributes {llvm.linkage = #llvm.linkage<internal>}
// CHECK-NEXT:    arith.constant 2.0
// CHECK-NEXT:    linalg.generic
// CHECK:       func.func private @llmc_graph_loops_2
// CHECK-NOT:   private
// CHECK-LABEL: func.func @llmc_graph(
// CHECK-COUNT-2: call @llmc_graph_loops_1(
// CHECK:       call @llmc_graph_loops_2(
// CHECK-NOT:   linalg
#id = affine_map<(d0) -> (d0)>
func.func @llmc_graph(%run: !llvm.ptr, %weights: memref<?xi8>, %x: memref<?xf32>, %y: memref<?xf32>, %z: memref<?xf32>) {
  %two = arith.constant 2.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : memref<?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %c = arith.mulf %a, %two : f32
    linalg.yield %c : f32
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%y : memref<?xf32>) outs(%z : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %c = arith.mulf %a, %two : f32
    linalg.yield %c : f32
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : memref<?xf32>) outs(%z : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %a, %b : f32
    linalg.yield %c : f32
  }
  return
}

// -----

// A copy of what is not one piece of memory is a loop; one of what is stays a memcpy. Several dynamic sizes in one group
// are strides.
// CHECK:       func.func private @llmc_graph_loops_1
// CHECK-LABEL: func.func @llmc_graph(
// CHECK:       memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [%{{.*}}, %{{.*}}, 4], strides: [%{{.*}}, 4, 1]
// CHECK:       memref.copy
// CHECK:       call @llmc_graph_loops_1
func.func @llmc_graph(%run: !llvm.ptr, %weights: memref<?xi8>, %x: memref<?xf32>, %a: index, %b: index, %y: memref<?x?x4xf32>, %z: memref<?x?x2xf32>) {
  %e = memref.expand_shape %x [[0, 1, 2]] output_shape [%a, %b, 4] : memref<?xf32> into memref<?x?x4xf32>
  memref.copy %e, %y : memref<?x?x4xf32> to memref<?x?x4xf32>
  %s = memref.subview %e[0, 0, 0][%a, %b, 2][1, 1, 1] : memref<?x?x4xf32> to memref<?x?x2xf32, strided<[?, 4, 1]>>
  memref.copy %s, %z : memref<?x?x2xf32, strided<[?, 4, 1]>> to memref<?x?x2xf32>
  return
}

// -----

// A loop over buffers as a whole; not one that allocates.
// CHECK:       func.func private @llmc_graph_loops_1
// CHECK:         scf.for
// CHECK-LABEL: func.func @llmc_graph(
// CHECK-NEXT:  arith.constant
// CHECK-NEXT:  arith.constant
// CHECK-NEXT:  call @llmc_graph_loops_1
// CHECK-NEXT:  scf.for
// CHECK-NEXT:    memref.alloc
func.func @llmc_graph(%run: !llvm.ptr, %weights: memref<?xi8>, %x: memref<?xf32>, %n: index) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  scf.for %i = %zero to %n step %one {
    %v = memref.load %x[%i] : memref<?xf32>
    memref.store %v, %x[%zero] : memref<?xf32>
  }
  scf.for %i = %zero to %n step %one {
    %a = memref.alloc(%n) : memref<?xf32>
    memref.dealloc %a : memref<?xf32>
  }
  return
}

// -----

// expected-error @below {{expects @llmc_graph}}
module {
}
