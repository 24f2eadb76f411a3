// The wq dialect: weight-only quantisation, from the bytes of a checkpoint to packed panels.
#ifndef LLMC_WQ_OPS
#define LLMC_WQ_OPS
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Wq_Dialect : Dialect {
  let name = "wq";
  let cppNamespace = "::llmc::wq";
  let summary = "weight-only quantisation: schemes, codecs, packed weights";
  let description = [{
    A weight starts as a `tensor<NxKx...>` of floats or of a checkpoint's encoding, is brought to a scheme
    (`wq.quantize`, `wq.recode`), packed (`wq.pack`) and used by `wq.linear`. Ops on weights run while compiling.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

//===- Scheme ------------------------------------------------------------===//
def Wq_Kind : I32EnumAttr<"Kind", "how the elements of a weight are stored", [
    I32EnumAttrCase<"I4", 0, "i4">, I32EnumAttrCase<"I8", 1, "i8">, I32EnumAttrCase<"F16", 2, "f16">,
    I32EnumAttrCase<"BF16", 3, "bf16">, I32EnumAttrCase<"F32", 4, "f32">]> {
  let cppNamespace = "::llmc::wq"; let genSpecializedAttr = 0;
}
def Wq_ScaleType : I32EnumAttr<"ScaleType", "element type of the scales", [
    I32EnumAttrCase<"F16", 0, "f16">, I32EnumAttrCase<"BF16", 1, "bf16">, I32EnumAttrCase<"F32", 2, "f32">]> {
  let cppNamespace = "::llmc::wq"; let genSpecializedAttr = 0;
}
def Wq_Offset : I32EnumAttr<"Offset", "what is added to code * scale", [
    I32EnumAttrCase<"None", 0, "none">, I32EnumAttrCase<"ZeroPoint", 1, "zero_point">,
    I32EnumAttrCase<"MinF16", 2, "min_f16">, I32EnumAttrCase<"MinF32", 3, "min_f32">]> {
  let cppNamespace = "::llmc::wq"; let genSpecializedAttr = 0;
}
def Wq_ScaleParameter : EnumParameter<Wq_ScaleType> { let defaultValue = "::llmc::wq::ScaleType::F16"; }
def Wq_OffsetParameter : EnumParameter<Wq_Offset> { let defaultValue = "::llmc::wq::Offset::None"; }
def Wq_OrderParameter : EnumParameter<Wq_Kind> { let defaultValue = "::llmc::wq::Kind::F32"; }
def Wq_SchemeAttr : AttrDef<Wq_Dialect, "Scheme"> {
  let mnemonic = "scheme";
  let summary = "bits, group size, scale type and symmetry of a weight; the same fields as codegen's WeightFormat";
  let description = [{
    i4: codes 0..15, symmetric value (code-8)*scale; i8: codes 0..255, symmetric value (code-128)*scale; with a zero
    point (code-zp)*scale; with a minimum code*scale+min. `group` is the number of k per scale (0 for floats).
    Example: `#wq.scheme<kind = i4, group = 32, scale = f16, offset = min_f16>` is exactly GGUF's Q4_1.
  }];
  let parameters = (ins EnumParameter<Wq_Kind>:$kind, DefaultValuedParameter<"int64_t", "0">:$group,
                    Wq_ScaleParameter:$scale,
                    Wq_OffsetParameter:$offset);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool isInteger() const { return getKind() == Kind::I4 || getKind() == Kind::I8; }
  }];
}

//===- Encodings of checkpoints -------------------------------------------===//
def Wq_Encoding : I32EnumAttr<"Encoding", "bytes of a weight as a file has them", [
    I32EnumAttrCase<"Q4_0", 0, "q4_0">, I32EnumAttrCase<"Q4_1", 1, "q4_1">, I32EnumAttrCase<"Q5_0", 2, "q5_0">,
    I32EnumAttrCase<"Q5_1", 3, "q5_1">, I32EnumAttrCase<"Q8_0", 4, "q8_0">, I32EnumAttrCase<"Q4_K", 5, "q4_k">,
    I32EnumAttrCase<"Q5_K", 6, "q5_k">, I32EnumAttrCase<"Q6_K", 7, "q6_k">,
    I32EnumAttrCase<"MatMulNBits", 8, "matmul_nbits">, I32EnumAttrCase<"Gptq", 9, "gptq">,
    I32EnumAttrCase<"GptqV2", 10, "gptq_v2">, I32EnumAttrCase<"Awq", 11, "awq">,
    I32EnumAttrCase<"CompressedTensors", 12, "compressed_tensors">, I32EnumAttrCase<"Nf4", 13, "nf4">,
    I32EnumAttrCase<"OnnxBlocks", 14, "onnx_blocks">]> {
  let cppNamespace = "::llmc::wq"; let genSpecializedAttr = 0;
}

class Wq_Type<string name, string m> : TypeDef<Wq_Dialect, name> { let mnemonic = m; }

def Wq_EncodedType : Wq_Type<"Encoded", "encoded"> {
  let summary = "element type of a weight in a checkpoint's encoding";
  let description = [{
    GGUF kinds need no parameters. matmul_nbits (com.microsoft MatMulNBits): `bits` 2, 4 or 8, `block` k per scale,
    `scale` type; storage parts are B u8 [N][blocks][block*bits/8], scales [N][blocks], if `zero_points` zero points u8
    [N][ceil(blocks*bits/8)], or if `float_zeros` too of the scales' type [N][blocks]; if `act_order` g_idx i32 [K], the
    block of each k. Without zero points the zero is 2, 8 or 128.

    Those of Hugging Face have `bits` 4 or 8, `block` k per scale (G = ceil(K/block) groups), words of 32 bits with the
    lowest bits first, and in this order the parts:
    - gptq, gptq_v2: qweight [K*bits/32][N] packed along K; scales [G][N]; if `zero_points` qzeros [G][N*bits/32] packed
      along N (gptq stores zero - 1, gptq_v2 the zero); if `act_order` g_idx i32 [K], the group of each k.
    - awq (4 bits): qweight [K][N/8]; scales [G][N]; if `zero_points` qzeros [G][N/8]. All packed along N: nibble j of a
      word is output 8*word + (0, 2, 4, 6, 1, 3, 5, 7)[j].
    - compressed_tensors (pack-quantized): weight_packed [N][K*bits/32]; weight_scale [N][G]; if `zero_points`
      weight_zero_point [N*bits/32][G] packed along N; if `act_order` weight_g_idx i32 [K].
    - nf4 (bitsandbytes): weight u8 [N][K/2], high nibble first; absmax [N][K/block]; quant_map f32 [16]. absmax is f32,
      or if `nested` u8 with nested_absmax f32 and nested_quant_map f32 [256]:
      nested_quant_map[absmax] * nested_absmax[one per 256 blocks] + `nested_offset`.
    - onnx_blocks (DequantizeLinear and com.microsoft GatherBlockQuantized, no words): codes [N][K]; scales [N][G]; if
      `zero_points` zero points [N][G]; if `transposed` [K][N] and [G][N]. Codes and zero points of 4 bits are two a
      byte, low first, rows without padding; if `is_signed` both are in two's complement, 8 (or 128) less.
    Without zero points the zero is 8 or 128. No integer scheme holds `act_order` or nf4 exactly: theirs is f32. Blocks
    of onnx_blocks wider than 256 are several groups of one scale in the scheme.
  }];
  let parameters = (ins EnumParameter<Wq_Encoding>:$encoding, DefaultValuedParameter<"int64_t", "0">:$bits,
                    DefaultValuedParameter<"int64_t", "0">:$block,
                    Wq_ScaleParameter:$scale,
                    DefaultValuedParameter<"bool", "false">:$zero_points,
                    DefaultValuedParameter<"bool", "false">:$act_order,
                    DefaultValuedParameter<"bool", "false">:$nested,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(0.0f)">:$nested_offset,
                    DefaultValuedParameter<"bool", "false">:$is_signed,
                    DefaultValuedParameter<"bool", "false">:$transposed,
                    DefaultValuedParameter<"bool", "false">:$float_zeros);
  let builders = [TypeBuilder<(ins "::llmc::wq::Encoding":$encoding, "int64_t":$bits, "int64_t":$block,
                                   "::llmc::wq::ScaleType":$scale, "bool":$zero_points), [{
    return $_get($_ctxt, encoding, bits, block, scale, zero_points, false, false, ::llmc::F32(), false, false,
                 false);
  }]>, TypeBuilder<(ins "::llmc::wq::Encoding":$encoding, "int64_t":$bits, "int64_t":$block,
                        "::llmc::wq::ScaleType":$scale, "bool":$zero_points, "bool":$act_order, "bool":$nested,
                        "::llmc::F32":$nested_offset), [{
    return $_get($_ctxt, encoding, bits, block, scale, zero_points, act_order, nested, nested_offset, false, false,
                 false);
  }]>, TypeBuilder<(ins "::llmc::wq::Encoding":$encoding, "int64_t":$bits, "int64_t":$block,
                        "::llmc::wq::ScaleType":$scale, "bool":$zero_points, "bool":$act_order, "bool":$nested,
                        "::llmc::F32":$nested_offset, "bool":$is_signed, "bool":$transposed), [{
    return $_get($_ctxt, encoding, bits, block, scale, zero_points, act_order, nested, nested_offset, is_signed,
                 transposed, false);
  }]>];
  let assemblyFormat = "`<` struct(params) `>`";
}
def Wq_QuantType : Wq_Type<"Quant", "quant"> {
  let summary = "element type of a weight in a scheme, no layout yet";
  let parameters = (ins "::llmc::wq::SchemeAttr":$scheme);
  let assemblyFormat = "`<` $scheme `>`";
}
def Wq_PackedType : Wq_Type<"Packed", "packed"> {
  let summary = "element type of a weight packed in panels (codegen/kernels/matmul/README.md)";
  let parameters = (ins "::llmc::wq::SchemeAttr":$scheme);
  let assemblyFormat = "`<` $scheme `>`";
}
def Wq_RowKind : I32EnumAttr<"RowKind", "how the elements of an activation row are stored", [
    I32EnumAttrCase<"F32", 0, "f32">, I32EnumAttrCase<"Q8", 1, "q8">, I32EnumAttrCase<"BF16", 2, "bf16">,
    I32EnumAttrCase<"BF16Pair", 3, "bf16_pair">, I32EnumAttrCase<"F16", 4, "f16">]> {
  let cppNamespace = "::llmc::wq"; let genSpecializedAttr = 0;
}
def Wq_RowFormatAttr : AttrDef<Wq_Dialect, "RowFormat"> {
  let mnemonic = "row_format";
  let summary = "codegen's RowFormat: kind, k per scale (q8), order of k (16 bits: kind of the consumer's weights)";
  let parameters = (ins EnumParameter<Wq_RowKind>:$kind, DefaultValuedParameter<"int64_t", "0">:$block,
                    Wq_OrderParameter:$order);
  let builders = [AttrBuilder<(ins "::llmc::wq::RowKind":$kind, CArg<"int64_t", "0">:$block), [{
    return $_get($_ctxt, kind, block, ::llmc::wq::Kind::F32);
  }]>];
  let assemblyFormat = "`<` struct(params) `>`";
}
def Wq_RowsType : Wq_Type<"Rows", "rows"> {
  let summary = "element type of activation rows that a linear reads in another format than f32";
  let description = [{
    `few`: in steps of up to kFewRows rows (decode); `many`: in larger ones (prefill).
    Example: `!wq.rows<<kind = q8, block = 32>, <kind = q8, block = 128>>`.
  }];
  let parameters = (ins "::llmc::wq::RowFormatAttr":$few, "::llmc::wq::RowFormatAttr":$many);
  let assemblyFormat = "`<` $few `,` $many `>`";
}

//===- Ops -----------------------------------------------------------------===//
class Wq_Op<string m, list<Trait> traits = []> : Op<Wq_Dialect, m, traits>;

def Wq_QuantizeOp : Wq_Op<"quantize", [Pure]> {
  let summary = "round-to-nearest quantisation of a float weight";
  let description = [{
    w: [N, K] floats; y: [N, K] of the scheme. Per row and group: symmetric i4: scale = m/-8 where m is the value of
    largest magnitude (so that -8 is used, as Q4_0), code = clamp(round(w/scale)+8, 0, 15); i8: scale = max|w|/127;
    asymmetric: scale = (max-min)/15 (or 255) with range extended to hold 0, zero point = round(-min/scale). Scales are
    rounded to the scheme's scale type before the codes are chosen.
  }];
  let arguments = (ins AnyRankedTensor:$w);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$w attr-dict `:` type($w) `->` type($y)";
  let hasVerifier = 1;
}
def Wq_RecodeOp : Wq_Op<"recode", [Pure]> {
  let summary = "an encoded weight in a scheme that holds its values exactly";
  let description = [{
    Not for encodings whose exact scheme is f32 (`!wq.encoded`): wq.decode keeps their values.
  }];
  let arguments = (ins AnyRankedTensor:$w);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$w attr-dict `:` type($w) `->` type($y)";
  let hasVerifier = 1;
}
def Wq_DecodeOp : Wq_Op<"decode", [Pure]> {
  let summary = "an encoded or 16-bit weight as f32 values";
  let arguments = (ins AnyRankedTensor:$w);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$w attr-dict `:` type($w) `->` type($y)";
  let hasVerifier = 1;
}
def Wq_ConcatOp : Wq_Op<"concat", [Pure]> {
  let summary = "weights one above the other, along N";
  let description = [{
    [N1, K], [N2, K], ... of one element type -> [N1+N2+..., K]; vectors likewise.
    With `interleave` = B > 0 the P parts have N rows each and take turns, B rows at a time: row (c*P + p)*B + i of the
    result is row c*B + i of part p, or a row of zeros from N on: [P * (N rounded up to B), K]. Encoded weights must
    have whole turns. 32 puts gate and up into the two halves of each panel, where the GLU epilogue wants them.
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$parts, DefaultValuedAttr<I64Attr, "0">:$interleave);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$parts attr-dict `:` type($parts) `->` type($y)";
  let hasVerifier = 1;
}
def Wq_ConstantOp : Wq_Op<"constant", [Pure]> {
  let summary = "a small table of floats that the compiler computed, such as inverse frequencies";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$value attr-dict `->` type($y)";
}
def Wq_PackOp : Wq_Op<"pack", [Pure]> {
  let summary = "a weight in panel layout; a vector as f32, padded with zeros to a multiple of 64";
  let arguments = (ins AnyRankedTensor:$w);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$w attr-dict `:` type($w) `->` type($y)";
  let hasVerifier = 1;
}
def Wq_PackedOp : Wq_Op<"packed", [Symbol]> {
  let summary = "one packed weight of the artifact: `offset` and `bytes` within the weights blob";
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, I64Attr:$offset, I64Attr:$bytes);
  let assemblyFormat = "$sym_name `:` $type `at` $offset `size` $bytes attr-dict";
  let hasVerifier = 1;
}
def Wq_StoreOp : Wq_Op<"store"> {
  let summary = "ends a chain of the weight program: writes a packed weight at its place in the artifact";
  let arguments = (ins AnyRankedTensor:$w, FlatSymbolRefAttr:$packed);
  let assemblyFormat = "$w `,` $packed attr-dict `:` type($w)";
}
def Wq_GetPackedOp : Wq_Op<"get_packed", [Pure]> {
  let summary = "a packed weight in the step";
  let arguments = (ins FlatSymbolRefAttr:$packed);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$packed attr-dict `:` type($y)";
}
def Wq_QuantizeRowsOp : Wq_Op<"quantize_rows", [Pure]> {
  let summary = "activations to the rows of the result's type: quantised per block, or rounded to 16 bits";
  let arguments = (ins AnyRankedTensor:$x);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($y)";
  let hasVerifier = 1;
}
def Wq_LinearOp : Wq_Op<"linear", [Pure, AttrSizedOperandSegments]> {
  let summary = "y = x W^T (+ bias) (+ residual) with a packed weight";
  let description = [{
    x: [M, K] f32 or `!wq.rows`; w: [N, K] packed; bias: [N] packed f32; residual, y: [M, N] f32.
    f32 x: exact products of f32 and decoded weights; q8 x: integer dot products per block; 16-bit x: of rounded x.
  }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$w, Optional<AnyRankedTensor>:$bias,
                   Optional<AnyRankedTensor>:$residual);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = [{
    $x `,` $w (`bias` $bias^ `:` type($bias))? (`residual` $residual^ `:` type($residual))? attr-dict `:`
    type($x) `,` type($w) `->` type($y)
  }];
  let hasVerifier = 1;
}
#endif
