// RUN: llmc-opt %s --split-input-file --llmc-wq-assign | FileCheck %s
// RUN: llmc-opt %s --split-input-file --llmc-wq-assign=quantize=keep | FileCheck %s --check-prefix=KEEP
// RUN: llmc-opt %s --split-input-file "--llmc-wq-assign=quantize=int8 group-size=64 asymmetric=true compute=f32" | FileCheck %s --check-prefix=INT8
// RUN: llmc-opt %s --split-input-file "--llmc-wq-assign=quantize=keep group-size=64" --remarks-filter=refusal --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=KEPT
// RUN: not llmc-opt %s --split-input-file --llmc-wq-assign=group-size=48 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not llmc-opt %s --split-input-file --llmc-wq-assign=quantize=int5 2>&1 | FileCheck %s --check-prefix=MODE

// KEPT: remark: {{.*}}the weights are kept as the file has them: the group size or zero points asked for have no effect

// Float weights: int4 by default, but the head and the embedding are i8; a wide model computes in int8.
// GROUP: group-size: found 48, expected 16, 32, 64, 128 or 256
// MODE: quantize: found 'int5', expected auto, keep, int8 or int4
// CHECK: module attributes {{.*}}wq.compute = "int8"
// CHECK: llm.weight @table {{.*}}wq.scheme = #wq.scheme<kind = i8, group = 32>
// CHECK: llm.weight @proj {{.*}}wq.scheme = #wq.scheme<kind = i4, group = 32>
// CHECK: llm.weight @head {{.*}}wq.scheme = #wq.scheme<kind = i8, group = 32>
// CHECK-NOT: llm.weight @norm {{.*}}wq.scheme
// KEEP: module attributes {{.*}}wq.compute = "f32"
// KEEP: llm.weight @proj {{.*}}wq.scheme = #wq.scheme<kind = f16>
// INT8: module attributes {{.*}}wq.compute = "f32"
// INT8: llm.weight @proj {{.*}}wq.scheme = #wq.scheme<kind = i8, group = 64, offset = zero_point>
module attributes {llm.hidden = 2048 : i64} {
  llm.weight @table : tensor<8x64xf16> [#llm.storage<0, 0, 1024>]
  llm.weight @proj : tensor<64x64xf16> [#llm.storage<0, 1024, 8192>]
  llm.weight @head : tensor<8x64xf16> [#llm.storage<0, 9216, 1024>]
  llm.weight @norm : tensor<64xf16> [#llm.storage<0, 10240, 128>]
  func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x8xf32> {
    %t = llm.get_weight @table : tensor<8x64xf16>
    %x = llm.embed %tokens, %t : tensor<8x64xf16> -> tensor<?x64xf32>
    %w = llm.get_weight @proj : tensor<64x64xf16>
    %y = llm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf16> -> tensor<?x64xf32>
    %n = llm.get_weight @norm : tensor<64xf16>
    %z = llm.rms_norm %y, %n {epsilon = 1.0e-05 : f32} : tensor<?x64xf32>, tensor<64xf16> -> tensor<?x64xf32>
    %h = llm.get_weight @head : tensor<8x64xf16>
    %l = llm.linear %z, %h : tensor<?x64xf32>, tensor<8x64xf16> -> tensor<?x8xf32>
    return %l : tensor<?x8xf32>
  }
}

// -----

// Quantised input is kept as it is; a narrow model computes in bf16.
// CHECK: module attributes {{.*}}wq.compute = "bf16"
// CHECK: llm.weight @proj {{.*}}wq.scheme = #wq.scheme<kind = i4, group = 32, offset = min_f16>
// INT8: llm.weight @proj {{.*}}wq.scheme = #wq.scheme<kind = i8, group = 64, offset = zero_point>
module attributes {llm.hidden = 64 : i64} {
  llm.weight @proj : tensor<64x64x!wq.encoded<encoding = q4_1>> [#llm.storage<0, 0, 2560>]
  func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
    %w = llm.get_weight @proj : tensor<64x64x!wq.encoded<encoding = q4_1>>
    %y = llm.linear %x, %w : tensor<?x64xf32>, tensor<64x64x!wq.encoded<encoding = q4_1>> -> tensor<?x64xf32>
    %z = llm.add %y, %y : tensor<?x64xf32>
    return %z : tensor<?x64xf32>
  }
}

// -----

// What only f32 holds exactly is kept as f32, and is no reason to compute in int8.
// CHECK: module attributes {{.*}}wq.compute = "f32"
// CHECK: llm.weight @proj {{.*}}wq.scheme = #wq.scheme<kind = f32>
// KEEP: llm.weight @proj {{.*}}wq.scheme = #wq.scheme<kind = f32>
// INT8: llm.weight @proj {{.*}}wq.scheme = #wq.scheme<kind = i8, group = 64, offset = zero_point>
module attributes {llm.hidden = 2048 : i64} {
  llm.weight @proj : tensor<64x64x!wq.encoded<encoding = nf4, bits = 4, block = 64, scale = f32>> [#llm.storage<0, 0, 2048>, #llm.storage<0, 2048, 256>, #llm.storage<0, 2304, 64>]
  func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
    %w = llm.get_weight @proj : tensor<64x64x!wq.encoded<encoding = nf4, bits = 4, block = 64, scale = f32>>
    %y = llm.linear %x, %w : tensor<?x64xf32>, tensor<64x64x!wq.encoded<encoding = nf4, bits = 4, block = 64, scale = f32>> -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
}

// -----

// Experts as other linears; their router stays as it is in every mode.
// CHECK: llm.weight @router {{.*}}wq.scheme = #wq.scheme<kind = bf16>
// CHECK: llm.weight @up {{.*}}wq.scheme = #wq.scheme<kind = i4, group = 32>
// CHECK: llm.weight @down {{.*}}wq.scheme = #wq.scheme<kind = i4, group = 32>
// KEEP: llm.weight @up {{.*}}wq.scheme = #wq.scheme<kind = bf16>
// INT8: llm.weight @router {{.*}}wq.scheme = #wq.scheme<kind = bf16>
// INT8: llm.weight @up {{.*}}wq.scheme = #wq.scheme<kind = i8, group = 64, offset = zero_point>
module attributes {llm.hidden = 64 : i64} {
  llm.weight @router : tensor<1x64xbf16> [#llm.storage<0, 0, 128>]
  llm.weight @up : tensor<32x64xbf16> [#llm.storage<0, 128, 4096>]
  llm.weight @down : tensor<64x32xbf16> [#llm.storage<0, 4224, 4096>]
  func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
    %r = llm.get_weight @router : tensor<1x64xbf16>
    %u = llm.get_weight @up : tensor<32x64xbf16>
    %d = llm.get_weight @down : tensor<64x32xbf16>
    %l = llm.linear %x, %r : tensor<?x64xf32>, tensor<1x64xbf16> -> tensor<?x1xf32>
    %y = llm.moe %x, %l gate(%u) up(%u) down(%d) {activation = #llm.activation<silu>, k = 1 : i64} : tensor<?x64xf32>, tensor<?x1xf32> (tensor<32x64xbf16>) (tensor<32x64xbf16>) (tensor<64x32xbf16>)
    return %y : tensor<?x64xf32>
  }
}
