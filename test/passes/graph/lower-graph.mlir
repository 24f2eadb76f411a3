// RUN: llmc-opt %s --llmc-lower-graph --split-input-file --verify-diagnostics | FileCheck %s

// Memory and errors are the runtime's; what LLVM lacks is libm's.
// CHECK-DAG:   llvm.mlir.global internal constant @llmc_graph_text_1("node 'n' (Div): division by zero\00")
// CHECK-DAG:   llvm.func @llmc_graph_fail(!llvm.ptr, !llvm.ptr) attributes {passthrough = ["noreturn", "cold"]}
// CHECK-DAG:   llvm.func @tanhf(f32) -> f32
// CHECK:       llvm.func internal @llmc_graph(
// CHECK-SAME:    %[[CTX:[a-z0-9]*]]: !llvm.ptr
// CHECK:         llvm.cond_br
// CHECK:         %[[BLOCK:.*]] = llvm.call @llmc_graph_alloc(%[[CTX]], {{.*}}) : (!llvm.ptr, i64, i64, i64, i64, i64, i64, i64, i64, i64) -> !llvm.ptr
// CHECK:         llvm.call @tanhf
// CHECK:         llvm.call @llmc_graph_free(%[[CTX]], {{.*}})
// CHECK:         llvm.call @llmc_graph_fail(%[[CTX]], {{.*}})
// CHECK-NEXT:    llvm.unreachable
// The entry: fields of the inputs' descriptors in, those of the outputs' out.
// CHECK:       llvm.func @llmc_graph_entry(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: !llvm.ptr, %[[OUT:.*]]: !llvm.ptr) attributes {llmc.step}
// CHECK-COUNT-5: llvm.load
// CHECK-NOT:     llvm.load
// CHECK:         llvm.call @llmc_graph(
// CHECK:         llvm.store %{{.*}}, %[[OUT]]
func.func @llmc_graph(%run: !llvm.ptr, %weights: memref<?xi8>, %x: memref<?xf32>) -> memref<?xf32> {
  %zero = arith.constant 0 : index
  %n = memref.dim %x, %zero : memref<?xf32>
  %ok = arith.cmpi ne, %n, %zero : index
  cf.assert %ok, "node 'n' (Div): division by zero"
  %a = memref.alloc(%n) : memref<?xf32>
  %v = memref.load %x[%zero] : memref<?xf32>
  %t = math.tanh %v : f32
  memref.store %t, %a[%zero] : memref<?xf32>
  memref.dealloc %a : memref<?xf32>
  return %x : memref<?xf32>
}

// -----

func.func @llmc_graph(%run: !llvm.ptr, %weights: memref<?xi8>) {
  // expected-error @below {{a tensor of 9 dims, expected at most 8}}
  %a = memref.alloc() : memref<1x1x1x1x1x1x1x1x1xf32>
  return
}
