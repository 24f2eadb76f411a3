// The kernel dialect: what will run. Calls of emitted kernels on planned buffers, and barriers between them.
#ifndef LLMC_KERNEL_OPS
#define LLMC_KERNEL_OPS
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::llmc::kernel";
  let summary = "kernel calls, planned buffers and barriers";
  let description = [{
    After select-kernels the step is a list of `kernel.call`; their values are still SSA tensors, so data flow is
    plain. plan-memory gives each result an `offset` in the arena (bytes per row of capacity); insert-barriers puts
    `kernel.barrier` where one thread reads or overwrites what another wrote or still reads.
  }];
  let useDefaultAttributePrinterParser = 1;
}

class Kernel_Descriptor<string name, string m> : AttrDef<Kernel_Dialect, name> {
  let mnemonic = m;
  let summary = "descriptor of codegen/Descriptor.h";
  let assemblyFormat = "`<` struct(params) `>`";
}
/// Rows of a value in steps of few and of many rows; absent for f32.
def Kernel_Rows : OptionalParameter<"::llmc::wq::RowFormatAttr">;
def Kernel_MatmulAttr : Kernel_Descriptor<"Matmul", "matmul"> {
  let parameters = (ins "int64_t":$n, "int64_t":$k, "::llmc::wq::SchemeAttr":$w,
                    Kernel_Rows:$x_few, Kernel_Rows:$x_many,
                    DefaultValuedParameter<"bool", "false">:$bias,
                    DefaultValuedParameter<"bool", "false">:$accumulate,
                    DefaultValuedParameter<"int64_t", "0">:$activation, DefaultValuedParameter<"bool", "false">:$glu,
                    DefaultValuedParameter<"bool", "false">:$requantise_many,
                    Kernel_Rows:$y_few, Kernel_Rows:$y_many, "int64_t":$x_stride, "int64_t":$y_stride);
}
def Kernel_RoutingAttr : AttrDef<Kernel_Dialect, "Routing"> {
  let mnemonic = "routing";
  let summary = "of a mixture of experts: what its rowwise ops (MoeChoose, ..) share";
  let parameters = (ins "int64_t":$k, "int64_t":$experts, DefaultValuedParameter<"bool", "false">:$renormalise,
                    DefaultValuedParameter<"int64_t", "1">:$parts, DefaultValuedParameter<"bool", "false">:$accumulate);
  let assemblyFormat = "`<` struct(params) `>`";
}
def Kernel_RowwiseAttr : Kernel_Descriptor<"Rowwise", "rowwise"> {
  let parameters = (ins StringRefParameter<"the op's name in codegen">:$op, "int64_t":$columns,
                    Kernel_Rows:$out_few, Kernel_Rows:$out_many,
                    "int64_t":$x_stride, "int64_t":$y_stride, DefaultValuedParameter<"::llmc::F32", "::llmc::F32(0.0f)">:$epsilon,
                    DefaultValuedParameter<"int64_t", "0">:$activation,
                    OptionalParameter<"::llmc::wq::SchemeAttr">:$w, DefaultValuedParameter<"::llmc::F32", "::llmc::F32(1.0f)">:$scale,
                    DefaultValuedParameter<"int64_t", "0">:$dynamic_max,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(0.0f)">:$dynamic_base,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(1.0f)">:$dynamic_factor,
                    DefaultValuedParameter<"bool", "false">:$bias,
                    OptionalParameter<"::llmc::kernel::RoutingAttr">:$routing,
                    DefaultValuedParameter<"int64_t", "0">:$heads, DefaultValuedParameter<"int64_t", "0">:$kv_heads,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(0.0f)">:$softcap,
                    DefaultValuedParameter<"bool", "false">:$by_position);
  // Without softcap, by token.
  let builders = [AttrBuilder<(ins "::llvm::StringRef":$op, "int64_t":$columns,
      "::llmc::wq::RowFormatAttr":$out_few, "::llmc::wq::RowFormatAttr":$out_many, "int64_t":$x_stride,
      "int64_t":$y_stride, "::llmc::F32":$epsilon, "int64_t":$activation, "::llmc::wq::SchemeAttr":$w,
      "::llmc::F32":$scale, "int64_t":$dynamic_max, "::llmc::F32":$dynamic_base, "::llmc::F32":$dynamic_factor,
      "bool":$bias, "::llmc::kernel::RoutingAttr":$routing, "int64_t":$heads, "int64_t":$kv_heads), [{
    return $_get($_ctxt, op, columns, out_few, out_many, x_stride, y_stride, epsilon, activation, w, scale, dynamic_max,
                 dynamic_base, dynamic_factor, bias, routing, heads, kv_heads, ::llmc::F32(0.0f), false);
  }]>];
}
def Kernel_AttentionAttr : Kernel_Descriptor<"Attention", "attention"> {
  let parameters = (ins "int64_t":$heads, "int64_t":$kv_heads, "int64_t":$head_dim,
                    StringRefParameter<"type of the cache: f32, f16, bf16 or int8">:$kv, "::llmc::F32":$scale,
                    DefaultValuedParameter<"int64_t", "0">:$rope_dim,
                    DefaultValuedParameter<"bool", "false">:$interleaved,
                    "int64_t":$page_bytes, "int64_t":$qkv_stride,
                    DefaultValuedParameter<"int64_t", "0">:$rope_stride, "int64_t":$y_stride,
                    DefaultValuedParameter<"int64_t", "0">:$window, DefaultValuedParameter<"bool", "false">:$alibi,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(0.0f)">:$softcap,
                    DefaultValuedParameter<"bool", "false">:$sinks, DefaultValuedParameter<"bool", "false">:$q8_out,
                    DefaultValuedParameter<"bool", "false">:$bf16);
}

def Kernel_Family : I32EnumAttr<"Family", "kernel family: which argument structure and table", [
    I32EnumAttrCase<"Matmul", 0, "matmul">, I32EnumAttrCase<"Rowwise", 1, "rowwise">,
    I32EnumAttrCase<"KvAppend", 2, "kv_append">, I32EnumAttrCase<"Attention", 3, "attention">]> {
  let cppNamespace = "::llmc::kernel"; let genSpecializedAttr = 0;
}
def Kernel_FamilyAttr : EnumAttr<Kernel_Dialect, Kernel_Family, "family"> { let assemblyFormat = "$value"; }

def Kernel_Partition : I32EnumAttr<"Partition", "the unit of a call's work", [
    I32EnumAttrCase<"Panels", 0, "panels">, I32EnumAttrCase<"Rows", 1, "rows">,
    I32EnumAttrCase<"Blocks", 2, "blocks">, I32EnumAttrCase<"Experts", 3, "experts">]> {
  let cppNamespace = "::llmc::kernel"; let genSpecializedAttr = 0;
}
def Kernel_PartitionAttr : EnumAttr<Kernel_Dialect, Kernel_Partition, "partition"> { let assemblyFormat = "$value"; }

class Kernel_Op<string m, list<Trait> traits = []> : Op<Kernel_Dialect, m, traits>;

def Kernel_FuncOp : Kernel_Op<"func", [Symbol]> {
  let summary = "a kernel to emit: table row and descriptor, for steps of min_rows..max_rows rows";
  let arguments = (ins SymbolNameAttr:$sym_name, Kernel_FamilyAttr:$family, StrAttr:$row, AnyAttr:$descriptor,
                   I64Attr:$min_rows, I64Attr:$max_rows, DefaultValuedAttr<I64Attr, "1">:$row_block);
  let assemblyFormat = "$sym_name `family` $family `row` $row `rows` $min_rows `to` $max_rows `block` $row_block $descriptor attr-dict";
}
def Kernel_CallOp : Kernel_Op<"call", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "one kernel on all its units, split over the threads";
  let description = [{
    `callees` are kernel.func symbols by ascending max_rows; the first that takes the step's row count runs. `inputs`
    and the result are values in the arena, packed weights (wq.get_packed) or arguments of the step; `tied` = i means
    that the result is written in place of input i. `units` counts panels (partition panels) or kv heads (blocks).
    `logit_rows`: the rows are the wanted logits' rows, not the tokens. `operand_roles` names the argument-structure
    field each input goes to: "x", "w", "bias", "y", "qkv", "rope", "sinks", "plan"; "y" is the buffer that a tied result is in.
    `column_offset` (bytes) is where in each row of the result the call writes; `layer_offset` (bytes) is the layer's
    part of a KV page. `replicated`: in steps of few rows every thread computes all rows into a copy of its own, at
    `private_offset`. `many`: nothing runs in steps of few rows. Panels become rows where a step is split by rows (LLMC_MODE_ROWS).
    `append` (attention): the kernel that stores the rows' k and v first, where a step has several
    rows of one sequence; where it has not, attention does so itself.
    `rows_each`: the call has that many rows (partition rows: units) for each row of the step. `experts` (partition
    experts): x and the result hold rows sorted by expert; `w` holds the weights of that many experts behind each other,
    `units` panels each, of which only those of experts with rows are read; role "plan": the rows of each expert
    (RowwiseOp::MoeSort). The first `few_callees` callees are for steps of few rows, the others for steps of many, in
    each by ascending max_rows: of the rows of an expert.
  }];
  let arguments = (ins Variadic<AnyType>:$inputs, FlatSymbolRefArrayAttr:$callees, StrArrayAttr:$operand_roles,
                   Kernel_PartitionAttr:$partition, I64Attr:$units, UnitAttr:$logit_rows, UnitAttr:$replicated,
                   UnitAttr:$many,
                   OptionalAttr<I64Attr>:$private_offset, OptionalAttr<I64Attr>:$tied,
                   DefaultValuedAttr<I64Attr, "0">:$column_offset, DefaultValuedAttr<I64Attr, "0">:$layer_offset,
                   OptionalAttr<FlatSymbolRefAttr>:$append, DefaultValuedAttr<I64Attr, "1">:$rows_each,
                   DefaultValuedAttr<I64Attr, "0">:$experts, DefaultValuedAttr<I64Attr, "0">:$few_callees,
                   I64Attr:$row_bytes, OptionalAttr<I64Attr>:$offset);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = [{
    $callees `(` $inputs `)` $operand_roles `over` $partition $units (`tied` $tied^)? (`append` $append^)?
    `row_bytes` $row_bytes
    (`offset` $offset^)? attr-dict `:` functional-type($inputs, $y)
  }];
  let hasVerifier = 1;
}
def Kernel_ByRowsOp : Kernel_Op<"by_rows", [Pure]> {
  let summary = "the value `few` in steps of few rows (LLMC_FEW_ROWS), else `many`";
  let arguments = (ins AnyRankedTensor:$few, AnyRankedTensor:$many);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$few `,` $many attr-dict `:` type($few) `,` type($many) `->` type($y)";
}
def Kernel_AllocOp : Kernel_Op<"alloc"> {
  let summary = "a buffer that several calls write parts of";
  let arguments = (ins I64Attr:$row_bytes, OptionalAttr<I64Attr>:$offset);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "`row_bytes` $row_bytes (`offset` $offset^)? attr-dict `:` type($y)";
}
def Kernel_Mode : I32BitEnumAttr<"Mode", "how a step deals its work to the threads (LLMC_MODE_*)", [
    I32BitEnumAttrCaseBit<"Few", 0, "few">, I32BitEnumAttrCaseBit<"Tiles", 1, "tiles">,
    I32BitEnumAttrCaseBit<"Rows", 2, "rows">]> {
  let cppNamespace = "::llmc::kernel"; let genSpecializedAttr = 0;
}
def Kernel_ModeAttr : EnumAttr<Kernel_Dialect, Kernel_Mode, "mode"> { let assemblyFormat = "$value"; }
def Kernel_BarrierOp : Kernel_Op<"barrier", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "in steps of these modes, all threads arrive before any goes on";
  let arguments = (ins Kernel_ModeAttr:$modes);
  let assemblyFormat = "$modes attr-dict";
}
#endif
