// RUN: llmc-opt %s --split-input-file --llmc-wq-quantize --cse | FileCheck %s

// A float weight is quantised, an encoded one recoded exactly or decoded and quantised, vectors become f32, and a tied
// head is one chain.
// CHECK-LABEL: func.func @step
// CHECK:       %[[T:.*]] = llm.get_weight @table
// CHECK:       %[[TQ:.*]] = wq.quantize %[[T]] : tensor<64x64xf16> -> tensor<64x64x!wq.quant<<kind = i8, group = 32>>>
// CHECK:       llm.embed %{{.*}}, %[[TQ]]
// CHECK:       %[[E:.*]] = llm.get_weight @exact
// CHECK:       %[[ER:.*]] = wq.recode %[[E]] : {{.*}} -> tensor<64x64x!wq.quant<<kind = i4, group = 32, offset = min_f16>>>
// CHECK:       wq.linear %{{.*}}, %[[ER]]
// CHECK:       %[[O:.*]] = llm.get_weight @other
// CHECK:       %[[OD:.*]] = wq.decode %[[O]]
// CHECK:       %[[OQ:.*]] = wq.quantize %[[OD]] : tensor<64x64xf32> -> tensor<64x64x!wq.quant<<kind = i8, group = 64>>>
// CHECK:       wq.linear %{{.*}}, %[[OQ]]
// CHECK:       %[[N:.*]] = llm.get_weight @norm
// CHECK:       %[[NF:.*]] = wq.decode %[[N]] : tensor<64xf16> -> tensor<64xf32>
// CHECK:       llm.rms_norm %{{.*}}, %[[NF]]
// CHECK-NOT:   wq.quantize
// CHECK:       wq.linear %{{.*}}, %[[TQ]]
llm.weight @table : tensor<64x64xf16> [#llm.storage<0, 0, 8192>] {wq.scheme = #wq.scheme<kind = i8, group = 32>}
llm.weight @exact : tensor<64x64x!wq.encoded<encoding = q4_1>> [#llm.storage<0, 8192, 2560>] {wq.scheme = #wq.scheme<kind = i4, group = 32, offset = min_f16>}
llm.weight @other : tensor<64x64x!wq.encoded<encoding = q4_0>> [#llm.storage<0, 16384, 2304>] {wq.scheme = #wq.scheme<kind = i8, group = 64>}
llm.weight @norm : tensor<64xf16> [#llm.storage<0, 20480, 128>]
func.func @step(%tokens: tensor<?xi32>) -> tensor<?x64xf32> {
  %t = llm.get_weight @table : tensor<64x64xf16>
  %x = llm.embed %tokens, %t : tensor<64x64xf16> -> tensor<?x64xf32>
  %e = llm.get_weight @exact : tensor<64x64x!wq.encoded<encoding = q4_1>>
  %a = llm.linear %x, %e : tensor<?x64xf32>, tensor<64x64x!wq.encoded<encoding = q4_1>> -> tensor<?x64xf32>
  %o = llm.get_weight @other : tensor<64x64x!wq.encoded<encoding = q4_0>>
  %b = llm.linear %a, %o : tensor<?x64xf32>, tensor<64x64x!wq.encoded<encoding = q4_0>> -> tensor<?x64xf32>
  %n = llm.get_weight @norm : tensor<64xf16>
  %c = llm.rms_norm %b, %n {epsilon = 1.0e-05 : f32} : tensor<?x64xf32>, tensor<64xf16> -> tensor<?x64xf32>
  %h = llm.get_weight @table : tensor<64x64xf16>
  %l = llm.linear %c, %h : tensor<?x64xf32>, tensor<64x64xf16> -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// -----

// Codes in act order and NF4 levels have no exact integer scheme: kept as f32, they are decoded; others are recoded.
// CHECK-LABEL: func.func @step
// CHECK:       %[[A:.*]] = llm.get_weight @ordered
// CHECK:       %[[AD:.*]] = wq.decode %[[A]] : {{.*}} -> tensor<64x64xf32>
// CHECK:       wq.linear %{{.*}}, %[[AD]]
// CHECK:       %[[F:.*]] = llm.get_weight @nf4
// CHECK:       %[[FD:.*]] = wq.decode %[[F]] : {{.*}}nested_offset = 2.500000e-01>> -> tensor<64x64xf32>
// CHECK:       wq.linear %{{.*}}, %[[FD]]
// CHECK:       %[[G:.*]] = llm.get_weight @gptq
// CHECK:       %[[GR:.*]] = wq.recode %[[G]] : {{.*}} -> tensor<64x64x!wq.quant<<kind = i4, group = 32, offset = zero_point>>>
// CHECK:       wq.linear %{{.*}}, %[[GR]]
llm.weight @ordered : tensor<64x64x!wq.encoded<encoding = gptq, bits = 4, block = 32, act_order = true>> [#llm.storage<0, 0, 2048>, #llm.storage<0, 2048, 256>, #llm.storage<0, 2304, 256>] {wq.scheme = #wq.scheme<kind = f32>}
llm.weight @nf4 : tensor<64x64x!wq.encoded<encoding = nf4, bits = 4, block = 64, scale = f32, nested = true, nested_offset = 2.500000e-01>> [#llm.storage<0, 0, 2048>, #llm.storage<0, 2048, 64>, #llm.storage<0, 2112, 64>, #llm.storage<0, 2176, 4>, #llm.storage<0, 2180, 1024>] {wq.scheme = #wq.scheme<kind = f32>}
llm.weight @gptq : tensor<64x64x!wq.encoded<encoding = gptq, bits = 4, block = 32, zero_points = true>> [#llm.storage<0, 0, 2048>, #llm.storage<0, 2048, 256>, #llm.storage<0, 2304, 64>] {wq.scheme = #wq.scheme<kind = i4, group = 32, offset = zero_point>}
func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = llm.get_weight @ordered : tensor<64x64x!wq.encoded<encoding = gptq, bits = 4, block = 32, act_order = true>>
  %b = llm.linear %x, %a : tensor<?x64xf32>, tensor<64x64x!wq.encoded<encoding = gptq, bits = 4, block = 32, act_order = true>> -> tensor<?x64xf32>
  %f = llm.get_weight @nf4 : tensor<64x64x!wq.encoded<encoding = nf4, bits = 4, block = 64, scale = f32, nested = true, nested_offset = 2.500000e-01>>
  %c = llm.linear %b, %f : tensor<?x64xf32>, tensor<64x64x!wq.encoded<encoding = nf4, bits = 4, block = 64, scale = f32, nested = true, nested_offset = 2.500000e-01>> -> tensor<?x64xf32>
  %g = llm.get_weight @gptq : tensor<64x64x!wq.encoded<encoding = gptq, bits = 4, block = 32, zero_points = true>>
  %d = llm.linear %c, %g : tensor<?x64xf32>, tensor<64x64x!wq.encoded<encoding = gptq, bits = 4, block = 32, zero_points = true>> -> tensor<?x64xf32>
  return %d : tensor<?x64xf32>
}
