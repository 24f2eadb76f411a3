// RUN: llmc-opt %s --llmc-stack-experts --split-input-file --verify-diagnostics | FileCheck %s

!q = !wq.quant<<kind = i4, group = 32>>

// Gate and up of each expert in turns, one expert behind the other.
// CHECK-LABEL: func.func @two
// CHECK:       %[[A:.*]] = wq.concat %arg2, %arg4 {interleave = 32 : i64} : {{.*}} -> tensor<64x64x!wq.quant
// CHECK:       %[[B:.*]] = wq.concat %arg3, %arg5 {interleave = 32 : i64} : {{.*}} -> tensor<64x64x!wq.quant
// CHECK:       %[[G:.*]] = wq.concat %[[A]], %[[B]] : {{.*}} -> tensor<128x64x!wq.quant
// CHECK:       %[[D:.*]] = wq.concat %arg6, %arg7 : {{.*}} -> tensor<128x32x!wq.quant
// CHECK:       llm.experts %arg0, %[[G]], %[[D]] by %arg1 {activation = #llm.activation<silu>, hidden = f32, k = 1 : i64, renormalise, scale = 2.500000e+00 : f32}
func.func @two(%x: tensor<?x64xf32>, %l: tensor<?x2xf32>, %g0: tensor<32x64x!q>, %g1: tensor<32x64x!q>,
               %u0: tensor<32x64x!q>, %u1: tensor<32x64x!q>, %d0: tensor<64x32x!q>, %d1: tensor<64x32x!q>) -> tensor<?x64xf32> {
  %y = llm.moe %x, %l gate(%g0, %g1) up(%u0, %u1) down(%d0, %d1) {activation = #llm.activation<silu>, k = 1 : i64, renormalise, scale = 2.5 : f32} : tensor<?x64xf32>, tensor<?x2xf32> (tensor<32x64x!q>, tensor<32x64x!q>) (tensor<32x64x!q>, tensor<32x64x!q>) (tensor<64x32x!q>, tensor<64x32x!q>)
  return %y : tensor<?x64xf32>
}

// -----

func.func @width(%x: tensor<?x64xf32>, %l: tensor<?x1xf32>, %g: tensor<48x64xf16>, %d: tensor<64x48xf16>) -> tensor<?x64xf32> {
  // expected-error @below {{found experts of 48 x 64, expected multiples of 32 and 64: experts of part panels have no kernel}}
  %y = llm.moe %x, %l gate(%g) up(%g) down(%d) {activation = #llm.activation<silu>, k = 1 : i64} : tensor<?x64xf32>, tensor<?x1xf32> (tensor<48x64xf16>) (tensor<48x64xf16>) (tensor<64x48xf16>)
  return %y : tensor<?x64xf32>
}

// -----

func.func @types(%x: tensor<?x64xf32>, %l: tensor<?x1xf32>, %g: tensor<32x64xf16>, %u: tensor<32x64xbf16>, %d: tensor<64x32xf16>) -> tensor<?x64xf32> {
  // expected-error @below {{found experts' weights of 'tensor<32x64xf16>' and 'tensor<32x64xbf16>', expected one scheme for all}}
  %y = llm.moe %x, %l gate(%g) up(%u) down(%d) {activation = #llm.activation<silu>, k = 1 : i64} : tensor<?x64xf32>, tensor<?x1xf32> (tensor<32x64xf16>) (tensor<32x64xbf16>) (tensor<64x32xf16>)
  return %y : tensor<?x64xf32>
}
