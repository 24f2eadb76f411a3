// RUN: llmc-opt %s --llmc-split-weight-program | FileCheck %s
// RUN: llmc-opt %s --llmc-split-weight-program --verify-each | llmc-opt | FileCheck %s

// Places are 4 KB apart; a weight that two ops read is packed once; vectors are padded to 64 floats.
// CHECK: module attributes {{.*}}wq.weight_bytes = 16384
// CHECK: wq.packed @packed_0 : tensor<96x64x!wq.packed<<kind = i4, group = 32>>> at 0 size 4608
// CHECK: wq.packed @packed_1 : tensor<64x!wq.packed<<kind = f32>>> at 8192 size 256
// CHECK: wq.packed @packed_2 : tensor<2x!wq.packed<<kind = f32>>> at 12288 size 256
// CHECK-LABEL: func.func @step
// CHECK-DAG:   %[[T:.*]] = wq.get_packed @packed_0
// CHECK-DAG:   wq.get_packed @packed_1
// CHECK:       llm.embed %{{.*}}, %[[T]]
// CHECK:       wq.linear %{{.*}}, %[[T]]
// CHECK-NOT:   llm.get_weight
// CHECK-LABEL: func.func @pack
// CHECK:       %[[A:.*]] = llm.get_weight @a
// CHECK:       %[[B:.*]] = llm.get_weight @b
// CHECK:       %[[C:.*]] = wq.concat
// CHECK:       %[[P:.*]] = wq.pack %[[C]]
// CHECK:       wq.store %[[P]], @packed_0
// CHECK:       wq.store {{.*}}, @packed_1
// CHECK:       wq.constant
// CHECK:       wq.store {{.*}}, @packed_2
llm.weight @a : tensor<64x64xf16> [#llm.storage<0, 0, 8192>]
llm.weight @b : tensor<32x64xf16> [#llm.storage<0, 8192, 4096>]
llm.weight @norm : tensor<64xf32> [#llm.storage<0, 12288, 256>]
func.func @step(%tokens: tensor<?xi32>, %p: tensor<?xi32>) -> (tensor<?x96xf32>, tensor<?x4xf32>) {
  %a = llm.get_weight @a : tensor<64x64xf16>
  %b = llm.get_weight @b : tensor<32x64xf16>
  %qa = wq.quantize %a : tensor<64x64xf16> -> tensor<64x64x!wq.quant<<kind = i4, group = 32>>>
  %qb = wq.quantize %b : tensor<32x64xf16> -> tensor<32x64x!wq.quant<<kind = i4, group = 32>>>
  %c = wq.concat %qa, %qb : tensor<64x64x!wq.quant<<kind = i4, group = 32>>>, tensor<32x64x!wq.quant<<kind = i4, group = 32>>> -> tensor<96x64x!wq.quant<<kind = i4, group = 32>>>
  %x = llm.embed %tokens, %c : tensor<96x64x!wq.quant<<kind = i4, group = 32>>> -> tensor<?x64xf32>
  %n = llm.get_weight @norm : tensor<64xf32>
  %y = llm.rms_norm %x, %n {epsilon = 1.0e-05 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %z = wq.linear %y, %c : tensor<?x64xf32>, tensor<96x64x!wq.quant<<kind = i4, group = 32>>> -> tensor<?x96xf32>
  %f = wq.constant dense<[1.0, 0.5]> : tensor<2xf32> -> tensor<2xf32>
  %r = llm.rope_table %p, %f {rope = #llm.rope<4, half, [1.0, 0.5]>} : tensor<2xf32> -> tensor<?x4xf32>
  return %z, %r : tensor<?x96xf32>, tensor<?x4xf32>
}
