// RUN: llmc-opt %s --split-input-file --llmc-select-kernels=target=icelake-server --verify-diagnostics | FileCheck %s
// RUN: llmc-opt %s --split-input-file --llmc-select-kernels=target=aarch64 --verify-diagnostics | FileCheck %s --check-prefix=PORTABLE

!v = tensor<64x!wq.packed<<kind = f32>>>
!q = tensor<?x64x!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 32>>>

// The bias is an argument of its own; without one the descriptor says so. Either op writes the rows that a linear reads.
// CHECK-DAG:   kernel.func @rowwise_layernorm_avx512_0 {{.*}}op = "LayerNorm", columns = 64, {{.*}}bias = true>
// CHECK-DAG:   kernel.func @rowwise_activate_avx512_0 {{.*}}op = "Activate", columns = 64, out_few = <kind = q8, block = 32>
// CHECK:       %[[A:.*]] = kernel.call [@rowwise_layernorm_avx512_0](%arg0, %{{.*}}, %{{.*}}) ["x", "w", "b"] over {{ *}}rows 1
// CHECK:       %[[B:.*]] = kernel.call [@rowwise_layernorm_avx512_1](%[[A]], %{{.*}}) ["x", "w"] over {{ *}}rows 1
// CHECK:       kernel.call [@rowwise_activate_avx512_0](%[[B]]) ["x"] over {{ *}}rows 1
// PORTABLE:    kernel.call [@rowwise_any_portable_0]
module {
  wq.packed @n : !v at 0 size 256
  wq.packed @b : !v at 4096 size 256
  func.func @step(%x: tensor<?x64xf32>) -> !q {
    %n = wq.get_packed @n : !v
    %b = wq.get_packed @b : !v
    %a = llm.layer_norm %x, %n bias %b : !v {epsilon = 1.0e-05 : f32} : tensor<?x64xf32>, !v -> tensor<?x64xf32>
    %c = llm.layer_norm %a, %n {epsilon = 1.0e-05 : f32} : tensor<?x64xf32>, !v -> tensor<?x64xf32>
    %y = llm.activate %c {activation = #llm.activation<gelu_erf>} : tensor<?x64xf32> -> !q
    return %y : !q
  }
}

// -----

func.func @rules(%x: tensor<?x64xf32>, %n: tensor<64xf32>, %m: tensor<32xf32>) {
  // expected-error @below {{expects a bias of the weight's type}}
  %a = llm.layer_norm %x, %n bias %m : tensor<32xf32> {epsilon = 1.0e-05 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @rules(%x: tensor<?x64xf32>, %m: tensor<32xf32>) {
  // expected-error @below {{expects a weight of the row's width}}
  %a = llm.layer_norm %x, %m {epsilon = 1.0e-05 : f32} : tensor<?x64xf32>, tensor<32xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @rules(%x: tensor<?x64xf32>, %n: tensor<64xf32>) {
  // expected-error @below {{expects epsilon > 0}}
  %a = llm.layer_norm %x, %n {epsilon = 0.0 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @rules(%x: tensor<?x64xf32>) {
  // expected-error @below {{changes the shape}}
  %a = llm.activate %x {activation = #llm.activation<relu>} : tensor<?x64xf32> -> tensor<?x32xf32>
  return
}
