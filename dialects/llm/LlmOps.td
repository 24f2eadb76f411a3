// The llm dialect: the model as a person would draw it.
#ifndef LLMC_LLM_OPS
#define LLMC_LLM_OPS
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Llm_Dialect : Dialect {
  let name = "llm";
  let cppNamespace = "::llmc::llm";
  let summary = "decoder language models on tensors, with weights by reference";
  let description = [{
    `@step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %logit_rows: tensor<?xi32>) -> tensor<?xVxf32>` processes
    M tokens of any mix of sequences; `%logit_rows` are the rows whose logits are wanted. Activations are
    `tensor<?xCxf32>`, a row per token. Module attributes: `llm.vocab`, `llm.hidden`, `llm.layers`, `llm.max_context`
    (i64).
  }];
  let useDefaultAttributePrinterParser = 1;
}

class Llm_Op<string m, list<Trait> traits = []> : Op<Llm_Dialect, m, traits>;
/// tokens, positions, row lists: tensor<?xi32>, the type itself, so it need not be printed.
def Llm_Indices : Type<CPred<"$_self == ::mlir::RankedTensorType::get({::mlir::ShapedType::kDynamic}, "
                             "::mlir::IntegerType::get($_self.getContext(), 32))">, "tensor<?xi32>">,
    BuildableType<"::mlir::RankedTensorType::get({::mlir::ShapedType::kDynamic}, $_builder.getI32Type())">;

//===- Weights ---------------------------------------------------------------===//
def Llm_StorageAttr : AttrDef<Llm_Dialect, "Storage"> {
  let mnemonic = "storage";
  let summary = "bytes of an input file: index of the file, offset and size in bytes";
  let parameters = (ins "int64_t":$file, "int64_t":$offset, "int64_t":$bytes);
  let assemblyFormat = "`<` $file `,` $offset `,` $bytes `>`";
}
def Llm_WeightOp : Llm_Op<"weight", [Symbol]> {
  let summary = "a weight of the model: its type, and where its bytes are";
  let description = [{
    [N, K] (N outputs) or [N]. `storage` has one part (floats, GGUF encodings) or several (see `!wq.encoded`). Stored as
    [stored_rows][K], or [K][stored_rows] if `transposed` (floats only); the weight is rows `row_begin`.. of it
    (default 0, stored_rows = N). `interleaved_heads` = h: the file has the rows of each of h heads in interleaved rope
    order (GGUF's llama files): row 2i of a head of D rows is row i of the weight, row 2i+1 is row i + D/2.
    `run` and `run_step`: the weight is runs of `run` stored rows that begin every `run_step` (q, k and v of each head
    side by side): row i is stored row row_begin + i / run * run_step + i % run. `plus` is added to each element of a
    vector of floats (norms that store their weight less one).
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, TypedArrayAttrBase<Llm_StorageAttr, "storage">:$storage,
                   OptionalAttr<I64Attr>:$stored_rows, OptionalAttr<I64Attr>:$row_begin, UnitAttr:$transposed,
                   OptionalAttr<I64Attr>:$interleaved_heads, OptionalAttr<I64Attr>:$run,
                   OptionalAttr<I64Attr>:$run_step, OptionalAttr<F32Attr>:$plus);
  // Without runs and plus.
  let builders = [OpBuilder<(ins "::mlir::StringAttr":$sym_name, "::mlir::TypeAttr":$type, "::mlir::ArrayAttr":$storage,
                             "::mlir::IntegerAttr":$stored_rows, "::mlir::IntegerAttr":$row_begin,
                             "::mlir::UnitAttr":$transposed, "::mlir::IntegerAttr":$interleaved_heads), [{
    build($_builder, $_state, sym_name, type, storage, stored_rows, row_begin, transposed, interleaved_heads,
          ::mlir::IntegerAttr(), ::mlir::IntegerAttr(), ::mlir::FloatAttr());
  }]>];
  let assemblyFormat = "$sym_name `:` $type $storage attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    mlir::RankedTensorType getTensorType() { return mlir::cast<mlir::RankedTensorType>(getType()); }
  }];
}
def Llm_GetWeightOp : Llm_Op<"get_weight", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a weight symbol";
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$weight attr-dict `:` type($y)";
}

//===- Rotary embedding --------------------------------------------------------===//
def Llm_RopeStyle : I32EnumAttr<"RopeStyle", "which channels rotate together", [
    I32EnumAttrCase<"Half", 0, "half">, I32EnumAttrCase<"Interleaved", 1, "interleaved">]> {
  let cppNamespace = "::llmc::llm"; let genSpecializedAttr = 0;
}
def Llm_RopeAttr : AttrDef<Llm_Dialect, "Rope"> {
  let mnemonic = "rope";
  let summary = "rotary position embedding: style and inverse frequencies";
  let description = [{
    `dim` channels of each head rotate; inv_freq: dim/2 numbers; cosines and sines are multiplied by `scale`
    (attention factor). With `dynamic_max` > 0 (dynamic NTK): when a sequence is n > dynamic_max long, frequencies are
    base'^(-2i/dim) with base' = dynamic_base * (dynamic_factor*n/dynamic_max - (dynamic_factor-1))^(dim/(dim-2)).
    With `long_inv_freq` (LongRoPE) sequences of more than `dynamic_max` positions have these frequencies and
    `long_scale` instead. half pairs (i, i+dim/2), interleaved (2i, 2i+1). arXiv 2104.09864, 2402.13753.
  }];
  let parameters = (ins "int64_t":$dim, EnumParameter<Llm_RopeStyle>:$style,
                    ArrayRefParameter<"::llmc::F32">:$inv_freq,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(1.0f)">:$scale,
                    DefaultValuedParameter<"int64_t", "0">:$dynamic_max,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(0.0f)">:$dynamic_base,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(1.0f)">:$dynamic_factor,
                    OptionalArrayRefParameter<"::llmc::F32">:$long_inv_freq,
                    DefaultValuedParameter<"::llmc::F32", "::llmc::F32(1.0f)">:$long_scale);
  // Without long frequencies.
  let builders = [AttrBuilder<(ins "int64_t":$dim, "::llmc::llm::RopeStyle":$style,
                                   "::llvm::ArrayRef<::llmc::F32>":$inv_freq, "::llmc::F32":$scale,
                                   "int64_t":$dynamic_max, "::llmc::F32":$dynamic_base,
                                   "::llmc::F32":$dynamic_factor), [{
    return $_get($_ctxt, dim, style, inv_freq, scale, dynamic_max, dynamic_base, dynamic_factor,
                 ::llvm::ArrayRef<::llmc::F32>(), ::llmc::F32(1.0f));
  }]>];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

//===- Ops on rows ------------------------------------------------------------===//
def Llm_EmbedOp : Llm_Op<"embed", [Pure]> {
  let summary = "rows of a table: y[r] = scale * table[tokens[r]]";
  let description = "tokens: [M] i32, @step's tokens or positions; table: [V, H] floats, encoded or packed; y: [M, H] f32.";
  let arguments = (ins Llm_Indices:$tokens, AnyRankedTensor:$table, DefaultValuedAttr<F32Attr, "1.0f">:$scale);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$tokens `,` $table attr-dict `:` type($table) `->` type($y)";
  let hasVerifier = 1;
}
def Llm_LinearOp : Llm_Op<"linear", [Pure]> {
  let summary = "y = x W^T (+ bias)";
  let description = "x: [M, K] f32; w: [N, K]; bias: [N]; y: [M, N] f32, products and sums in f32.";
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$w, Optional<AnyRankedTensor>:$bias);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x `,` $w (`bias` $bias^ `:` type($bias))? attr-dict `:` type($x) `,` type($w) `->` type($y)";
  let hasVerifier = 1;
}
def Llm_RmsNormOp : Llm_Op<"rms_norm", [Pure]> {
  let summary = "root-mean-square normalisation of each row";
  let description = [{ x, y: [M, hidden]; weight: [hidden]; epsilon > 0, added to the mean square.
      y[t,h] = weight[h] * x[t,h] / sqrt(mean_h(x[t,h]^2) + epsilon), the mean in f32. y may be `!wq.rows`. arXiv 1910.07467. }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$weight, F32Attr:$epsilon);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x `,` $weight attr-dict `:` type($x) `,` type($weight) `->` type($y)";
  let hasVerifier = 1;
}
def Llm_LayerNormOp : Llm_Op<"layer_norm", [Pure]> {
  let summary = "normalisation of each row to mean 0 and variance 1, then scaled and shifted";
  let description = [{ x, y: [M, hidden]; weight, bias: [hidden]; epsilon > 0, added to the variance.
      y[t,h] = weight[h] * (x[t,h] - m[t]) / sqrt(mean_h((x[t,h] - m[t])^2) + epsilon) + bias[h], m[t] = mean_h(x[t,h]),
      the means in f32. y may be !wq.rows. arXiv 1607.06450. }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$weight, Optional<AnyRankedTensor>:$bias, F32Attr:$epsilon);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = [{
    $x `,` $weight (`bias` $bias^ `:` type($bias))? attr-dict `:` type($x) `,` type($weight) `->` type($y)
  }];
  let hasVerifier = 1;
}
def Llm_HeadNormOp : Llm_Op<"head_norm", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "llm.rms_norm of each head by itself, one weight for all heads";
  let description = "x, y: [M, heads*D] f32; weight: [D]; epsilon > 0. For each head as llm.rms_norm of a row of D.";
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$weight, F32Attr:$epsilon);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x `,` $weight attr-dict `:` type($x) `,` type($weight)";
  let hasVerifier = 1;
}
def Llm_QkNormOp : Llm_Op<"qk_norm", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "llm.head_norm of q and of k where they lie side by side with v";
  let description = [{
    x, y: [M, (heads+2*kv_heads)*D] f32: q, which `q` norms, then k, which `k` norms, then v as it is; q, k: [D].
  }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$q, AnyRankedTensor:$k, I64Attr:$heads, I64Attr:$kv_heads,
                   F32Attr:$epsilon);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x `,` $q `,` $k attr-dict `:` type($x) `,` type($q) `,` type($k)";
  let hasVerifier = 1;
}
def Llm_RopeOp : Llm_Op<"rope", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "rotary position embedding of each head";
  let description = "x, y: [M, heads*D] f32; positions: [M] i32; the first rope.dim channels of each head rotate.";
  let arguments = (ins AnyRankedTensor:$x, Llm_Indices:$positions, I64Attr:$heads, Llm_RopeAttr:$rope);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x `,` $positions attr-dict `:` type($x)";
  let hasVerifier = 1;
}
def Llm_RopeTableOp : Llm_Op<"rope_table", [Pure]> {
  let summary = "cosines and sines of a step's positions: y[r] = cos(p*f[i]).. then sin(p*f[i]).., both times scale";
  let description = "positions: [M] i32; inv_freq: [dim/2], then the long ones if the rope has some (packed once the weight program is split); y: [M, dim] f32.";
  let arguments = (ins Llm_Indices:$positions, AnyRankedTensor:$inv_freq, Llm_RopeAttr:$rope);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$positions `,` $inv_freq attr-dict `:` type($inv_freq) `->` type($y)";
  let hasVerifier = 1;
}
def Llm_AttentionOp : Llm_Op<"attention", [MemoryEffects<[MemRead, MemWrite]>, AllTypesMatch<["q", "y"]>]> {
  let summary = "causal attention over the cache of `layer`, after k and v were appended to it at `positions`";
  let description = [{
    q: [M, heads*D]; k, v: [M, kv_heads*D]; y: [M, heads*D]; f32. Query head h uses kv head h / (heads/kv_heads).
    y[r,h] = sum_j softmax_j(s[j]) v[j,g] over the positions j <= positions[r] of the row's sequence (the last `window`
    of them if window > 0), s[j] = scale * q[r,h].k[j,g]; with `softcap` > 0 softcap * tanh(s[j] / softcap); with `alibi`
    plus slope[h] * (j - positions[r]), slopes of arXiv 2108.12409. `sinks`: [heads], for each head a logit more in the
    sum of the softmax, without a value.
  }];
  let arguments = (ins AnyRankedTensor:$q, AnyRankedTensor:$k, AnyRankedTensor:$v, Llm_Indices:$positions,
                   Optional<AnyRankedTensor>:$sinks,
                   I64Attr:$layer, I64Attr:$heads, I64Attr:$kv_heads, I64Attr:$head_dim, F32Attr:$scale,
                   DefaultValuedAttr<I64Attr, "0">:$window, UnitAttr:$alibi,
                   DefaultValuedAttr<F32Attr, "0.0f">:$softcap);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = [{
    $q `,` $k `,` $v `,` $positions (`sinks` $sinks^ `:` type($sinks))? attr-dict `:` type($q) `,` type($k) `,` type($v)
  }];
  // Without alibi, softcap and sinks.
  let builders = [OpBuilder<(ins "::mlir::Type":$y, "::mlir::Value":$q, "::mlir::Value":$k, "::mlir::Value":$v,
                             "::mlir::Value":$positions, "::mlir::IntegerAttr":$layer, "::mlir::IntegerAttr":$heads,
                             "::mlir::IntegerAttr":$kvHeads, "::mlir::IntegerAttr":$headDim,
                             "::mlir::FloatAttr":$scale, "::mlir::IntegerAttr":$window), [{
    build($_builder, $_state, y, q, k, v, positions, ::mlir::Value(), layer, heads, kvHeads, headDim, scale, window,
          ::mlir::UnitAttr(), $_builder.getF32FloatAttr(0.0f));
  }]>];
  let hasVerifier = 1;
}
def Llm_AttentionKvOp : Llm_Op<"attention_kv", [MemoryEffects<[MemRead, MemWrite]>, AttrSizedOperandSegments]> {
  let summary = "rope, in-place append to the KV cache, and attention in one op";
  let description = [{
    qkv: [M, (heads+2*kv_heads)*D], q then k then v; table: [M, rope.dim] cosines and sines (absent without rope);
    otherwise as llm.attention of the rotated q and k. y: [M, heads*D] f32 or `!wq.rows`.
  }];
  let arguments = (ins AnyRankedTensor:$qkv, Llm_Indices:$positions, Optional<AnyRankedTensor>:$table,
                   Optional<AnyRankedTensor>:$sinks,
                   I64Attr:$layer, I64Attr:$heads, I64Attr:$kv_heads, I64Attr:$head_dim, F32Attr:$scale,
                   DefaultValuedAttr<I64Attr, "0">:$window, UnitAttr:$alibi,
                   DefaultValuedAttr<F32Attr, "0.0f">:$softcap, OptionalAttr<Llm_RopeAttr>:$rope);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = [{
    $qkv `,` $positions (`table` $table^ `:` type($table))? (`sinks` $sinks^ `:` type($sinks))? attr-dict `:`
    type($qkv) `->` type($y)
  }];
  let hasVerifier = 1;
}
def Llm_ConcatColumnsOp : Llm_Op<"concat_columns", [Pure]> {
  let summary = "rows side by side: [M, A], [M, B], ... -> [M, A+B+...]";
  let arguments = (ins Variadic<AnyRankedTensor>:$parts);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$parts attr-dict `:` type($parts) `->` type($y)";
  let hasVerifier = 1;
}
def Llm_Activation : I32EnumAttr<"Activation", "activation function", [
    I32EnumAttrCase<"None", 0, "none">, I32EnumAttrCase<"Silu", 1, "silu">, I32EnumAttrCase<"GeluTanh", 2, "gelu_tanh">,
    I32EnumAttrCase<"GeluErf", 3, "gelu_erf">, I32EnumAttrCase<"Relu", 4, "relu">]> {
  let cppNamespace = "::llmc::llm"; let genSpecializedAttr = 0;
}
def Llm_ActivationAttr : EnumAttr<Llm_Dialect, Llm_Activation, "activation"> { let assemblyFormat = "`<` $value `>`"; }
def Llm_ActivateOp : Llm_Op<"activate", [Pure]> {
  let summary = "y = activation(x), element by element";
  let description = "x: [M, I] f32; y: [M, I] f32 or !wq.rows.";
  let arguments = (ins AnyRankedTensor:$x, Llm_ActivationAttr:$activation);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($y)";
  let hasVerifier = 1;
}
def Llm_GatedMulOp : Llm_Op<"gated_mul", [Pure, AllTypesMatch<["gate", "up", "y"]>]> {
  let summary = "y = activation(gate) * up";
  let description = "gate, up, y: [M, I] f32. silu(x) = x / (1 + exp(-x)). arXiv 2002.05202.";
  let arguments = (ins AnyRankedTensor:$gate, AnyRankedTensor:$up, Llm_ActivationAttr:$activation);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($gate)";
}
def Llm_GluOp : Llm_Op<"glu", [Pure]> {
  let summary = "y = activation(x[:, :I]) * x[:, I:]";
  let description = "x: [M, 2I] f32; y: [M, I] f32 or `!wq.rows`.";
  let arguments = (ins AnyRankedTensor:$x, Llm_ActivationAttr:$activation);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($y)";
  let hasVerifier = 1;
}
def Llm_GluLinearOp : Llm_Op<"glu_linear", [Pure]> {
  let summary = "y = activation(g) * u of one linear: the gated half of an MLP before its down projection";
  let description = [{
    x: [M, K] f32 or `!wq.rows`; w: [2*I, K] in a scheme, rows in turns of 32: 32 of g, 32 of u (wq.concat interleave);
    bias: [2*I] likewise; y: [M, I] f32 or `!wq.rows`; I is a multiple of 32.
  }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$w, Optional<AnyRankedTensor>:$bias,
                   Llm_ActivationAttr:$activation);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = [{
    $x `,` $w (`bias` $bias^ `:` type($bias))? attr-dict `:` type($x) `,` type($w) `->` type($y)
  }];
  let hasVerifier = 1;
}
def Llm_MoeOp : Llm_Op<"moe", [Pure, AttrSizedOperandSegments, AllTypesMatch<["x", "y"]>]> {
  let summary = "mixture of experts: each row goes through k of E gated MLPs, its router's choice";
  let description = [{
    x, y: [M, H] f32; logits: [M, E] f32, of the router; gate, up: E weights [I, H]; down: E weights [H, I].
    A row's experts are those of its k largest logits, of equal ones the lower index (what is not a number counts as
    -infinity). p = softmax(logits[r]) over all E; w[e] = scale * p[e], with `renormalise` divided by the sum of the
    chosen p. y[r] = sum over the chosen e, ascending, of w[e] * down[e] (activation(gate[e] x[r]) * (up[e] x[r])).
    arXiv 2401.04088.
  }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$logits, Variadic<AnyRankedTensor>:$gate,
                   Variadic<AnyRankedTensor>:$up, Variadic<AnyRankedTensor>:$down, I64Attr:$k,
                   Llm_ActivationAttr:$activation, UnitAttr:$renormalise, DefaultValuedAttr<F32Attr, "1.0f">:$scale);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = [{
    $x `,` $logits `gate` `(` $gate `)` `up` `(` $up `)` `down` `(` $down `)` attr-dict `:` type($x) `,` type($logits)
    `(` type($gate) `)` `(` type($up) `)` `(` type($down) `)`
  }];
  let hasVerifier = 1;
}
def Llm_ExpertsOp : Llm_Op<"experts", [Pure]> {
  let summary = "llm.moe whose experts' weights lie behind each other: two matrices";
  let description = [{
    As llm.moe. gate_up: [E*2*I, H], for each expert as the weight of llm.glu_linear; down: [E*H, I]; 2*I and H are
    multiples of 64, so an expert is whole panels. y = residual + that, if there is a residual. x may be `!wq.rows`;
    `hidden`: the element type of the rows that `down` reads, f32 or `!wq.rows`.
  }];
  let arguments = (ins AnyRankedTensor:$x, AnyRankedTensor:$gate_up, AnyRankedTensor:$down, AnyRankedTensor:$logits,
                   Optional<AnyRankedTensor>:$residual, I64Attr:$k, Llm_ActivationAttr:$activation,
                   UnitAttr:$renormalise, DefaultValuedAttr<F32Attr, "1.0f">:$scale, TypeAttr:$hidden);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = [{
    $x `,` $gate_up `,` $down `by` $logits (`residual` $residual^ `:` type($residual))? attr-dict `:` type($x) `,`
    type($gate_up) `,` type($down) `,` type($logits) `->` type($y)
  }];
  let extraClassDeclaration = [{
    int64_t numExperts() { return mlir::cast<mlir::RankedTensorType>(getLogits().getType()).getDimSize(1); }
    /// I: columns of the rows between the two matrices.
    int64_t hiddenColumns() { return mlir::cast<mlir::RankedTensorType>(getDown().getType()).getDimSize(1); }
  }];
  let hasVerifier = 1;
}
def Llm_AddOp : Llm_Op<"add", [Pure, SameOperandsAndResultType]> {
  let summary = "y = a + b, element by element";
  let arguments = (ins AnyRankedTensor:$a, AnyRankedTensor:$b);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$a `,` $b attr-dict `:` type($y)";
}
def Llm_ScaleOp : Llm_Op<"scale", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "y = scale * x, with softcap > 0 then y = softcap * tanh(y / softcap)";
  let description = "x, y: [M, C] f32: multipliers of residuals and logits, and the bound on logits of Gemma 2.";
  let arguments = (ins AnyRankedTensor:$x, F32Attr:$scale, DefaultValuedAttr<F32Attr, "0.0f">:$softcap);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let hasVerifier = 1;
}
def Llm_SelectRowsOp : Llm_Op<"select_rows", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "y[i] = x[rows[i]]: the rows whose logits are wanted";
  let arguments = (ins AnyRankedTensor:$x, Llm_Indices:$rows);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$x `,` $rows attr-dict `:` type($x)";
}

//===- Import of ONNX -----------------------------------------------------------===//
def Llm_OnnxNodeOp : Llm_Op<"onnx_node"> {
  let summary = "one ONNX node as it is in the file, to be raised or lowered";
  let description = [{
    `op_type` and `domain` ("" is ai.onnx), `opset` (version of that domain), ONNX attributes by name in `attributes`
    (int -> i64, float -> f32, string -> string, lists -> arrays, tensors -> elements). Absent optional inputs are
    `llm.onnx_none`. The location is the node's name.
    Graph attributes are `bodies`, of one block each that ends in `llm.onnx_yield`: then and else of If (no arguments),
    the body of Loop (iteration tensor<i64>, condition tensor<i1>, carried values; yields the condition, carried values,
    scanned values), the body of Scan (states, slices of the scanned inputs; yields states, scanned values). A body
    uses the values around it as they are. What a body yields may have a narrower type than the node's result: its
    element type is the same, its dims may be known better.
    `declared`: the rank of a result's type is not implied by the operator but only declared by the model's value_info.
    What relies on it must check it when the node runs.
  }];
  let arguments = (ins StrAttr:$op_type, StrAttr:$domain, I64Attr:$opset, DictionaryAttr:$onnx_attributes,
                   Variadic<AnyType>:$inputs, UnitAttr:$declared);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region VariadicRegion<SizedRegion<1>>:$bodies);
  let builders = [OpBuilder<(ins "::mlir::TypeRange":$outputs, "::mlir::StringAttr":$op_type,
      "::mlir::StringAttr":$domain, "::mlir::IntegerAttr":$opset, "::mlir::DictionaryAttr":$onnx_attributes,
      "::mlir::ValueRange":$inputs), [{
    build($_builder, $_state, outputs, op_type, domain, opset, onnx_attributes, inputs, ::mlir::UnitAttr(), 0);
  }]>];
  let assemblyFormat = "$op_type `domain` $domain `opset` $opset `(` $inputs `)` $onnx_attributes attr-dict `:` functional-type($inputs, $outputs) ($bodies^)?";
  let hasVerifier = 1;
}
def Llm_OnnxYieldOp : Llm_Op<"onnx_yield", [Pure, Terminator, HasParent<"OnnxNodeOp">]> {
  let summary = "the results of a body of an ONNX node";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}
def Llm_OnnxNoneOp : Llm_Op<"onnx_none", [Pure]> {
  let summary = "an absent optional input of an ONNX node";
  let results = (outs NoneType:$y);
  let assemblyFormat = "attr-dict `:` type($y)";
}
def Llm_OnnxTensorOp : Llm_Op<"onnx_tensor", [Pure]> {
  let summary = "an initialiser of an ONNX graph: its name, and where its bytes are";
  let description = [{
    Elements in ONNX's order and packing. `rope`, on a table of cosines or sines: the rotary embedding whose cosines
    (`is_cos`) or sines the table was found to hold, verified in every row when it was imported; `no_rope`: why none.
    `value`: the elements themselves, of a table of at most 1,024 floats. Raising makes an `llm.weight` of each
    initialiser that is used, in the order of use.
  }];
  let arguments = (ins StrAttr:$name, Llm_StorageAttr:$storage, OptionalAttr<Llm_RopeAttr>:$rope, UnitAttr:$is_cos,
                   OptionalAttr<StrAttr>:$no_rope, OptionalAttr<ElementsAttr>:$value);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$name $storage attr-dict `:` type($y)";
}
def Llm_OnnxConstantOp : Llm_Op<"onnx_constant", [Pure]> {
  let summary = "a small tensor of an ONNX graph by value: shapes, axes, scalars";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs AnyRankedTensor:$y);
  let assemblyFormat = "$value attr-dict `->` type($y)";
}
#endif
