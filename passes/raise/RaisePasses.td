// The manual of the passes that turn the nodes of an ONNX graph into llm ops: needs, leaves, refuses.
// Between nodes that are raised and nodes that are not, builtin.unrealized_conversion_cast stands for "the same rows":
// [batch, tokens, C] of any float type as [M, C] f32, [batch, tokens] i64 as [M] i32. Pairs of them fold away.
#ifndef LLMC_RAISE_PASSES
#define LLMC_RAISE_PASSES
include "mlir/Pass/PassBase.td"

def RaiseSignature : Pass<"llmc-raise-signature", "mlir::ModuleOp"> {
  let summary = "@step takes tokens, positions and logit rows";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Needs @step of an imported graph (arguments named by `llm.name`); leaves others as they are. Leaves three
    new arguments, in front; input_ids and position_ids are read from them.
    Refuses (error): no input_ids of integers [batch, tokens] (a graph that begins at inputs_embeds).
  }];
}
def RaiseShapes : Pass<"llmc-raise-shapes", "mlir::ModuleOp"> {
  let summary = "the types of nodes' results say what the graph's shape arithmetic comes to";
  let dependentDialects = ["::llmc::llm::LlmDialect"];
  let description = [{
    Needs llmc-raise-signature. Leaves ranks and sizes in types that the importer left open, as Elements.h proves them:
    rows of [batch, tokens, C] that come out of a Reshape have a known C. Integers that come to constants (sizes, axes,
    bounds), and single floats, are constants; a Slice or Expand that leaves its operand as it is is not there.
  }];
}
def RaiseLinear : Pass<"llmc-raise-linear", "mlir::ModuleOp"> {
  let summary = "products with a weight become llm.linear";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    MatMul, Gemm, com.microsoft FusedMatMul and MatMulNBits of [batch, tokens, K] or [rows, K]. Leaves llm.linear, and
    llm.weight symbols: of a [K, N] float `transposed` (under Transpose and casts), of MatMulNBits one of
    `!wq.encoded<matmul_nbits>`, with a bias if it has one, of DequantizeLinear in blocks along K, or with a scale for
    each of N, one of `!wq.encoded<onnx_blocks>`. An Add of a vector to a linear becomes its bias. Split and Slice of a
    linear's columns become linears of their own, whose weights are rows of the same storage.
    Also, as all passes on rows do: Reshape, Squeeze and Unsqueeze that keep the rows, Identity, Dropout and casts
    between floats disappear (activations are f32); an Add of two activations is llm.add.
    Refuses (remark): the weight is not an initialiser; an element type that is not F32, F16 or BF16; factors of Gemm; a
    first operand whose rank is not known; MatMulNBits with blocks of more than 256; DequantizeLinear with one scale for
    all, with a scale for each of K, in blocks that are no multiple of 16, or of unsigned codes without zero points;
    products of activations that the graph itself quantises (MatMulInteger).
  }];
}
def RaiseEmbed : Pass<"llmc-raise-embed", "mlir::ModuleOp"> {
  let summary = "Gather of rows of a table by tokens or positions becomes llm.embed";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Needs llmc-raise-signature. Indices are input_ids or position_ids under Reshape and casts, positions plus a number
    too (OPT): the table is then its rows from there on, and bounds the model's context. Also com.microsoft
    GatherBlockQuantized of UINT8 data (as MatMulNBits) and of other types (as DequantizeLinear, llmc-raise-linear). A
    table may be that of the head: Transpose of [H, V], or Reshape of MatMulNBits's codes; then it is one llm.weight.
    Refuses (remark): the table is not an initialiser; another axis; UINT8 data with zero points.
  }];
}
def RaiseNorm : Pass<"llmc-raise-norm", "mlir::ModuleOp"> {
  let summary = "norms, fused with a residual or decomposed, become llm.rms_norm, llm.layer_norm and llm.head_norm";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    SimplifiedLayerNormalization, RMSNormalization, LayerNormalization; com.microsoft SkipSimplifiedLayerNormalization
    and SkipLayerNormalization (llm.add and the norm; a bias that they add is that of the linear before); and what
    exporters write: x / Sqrt(ReduceMean(x^2) + epsilon), as Div, or Mul by Reciprocal, by Div(1, .) or by Pow(., -0.5),
    x^2 as Pow or Mul, of x - ReduceMean(x) a LayerNorm, with casts between; then Mul(weight) and Add(bias) in either
    order. A weight may be a vector plus a number (Gemma), or none. A norm of heads (the last axis is an equal part of a
    row, behind Reshape and Transpose) is llm.head_norm before these. Then rows, as llmc-raise-linear says.
    Refuses (remark): a weight that is not an initialiser; another axis; an epsilon that is not a positive number; a mean
    or deviation that is used; LayerNorm of heads.
  }];
}
def RaiseRope : Pass<"llmc-raise-rope", "mlir::ModuleOp"> {
  let summary = "com.microsoft RotaryEmbedding becomes llm.rope";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Needs the `rope` that the importer found in the tables. The number of heads is that of the attention that reads it.
    Tables that an If chooses by the length of attention_mask (LongRoPE) are a rope with long frequencies.
    Refuses (remark): tables that are not a rotary embedding; other positions than position_ids; a scale; packed
    batches.
  }];
}
def RaiseAttention : Pass<"llmc-raise-attention", "mlir::ModuleOp"> {
  let summary = "com.microsoft GroupQueryAttention and MultiHeadAttention become llm.attention over the cache";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Needs llmc-raise-linear and -signature. A packed QKV linear is split into three whose weights are rows of the same
    storage. past_* and present_* disappear into the cache: the return then names the past_* arguments. Of
    MultiHeadAttention (model builder, float16) also the explicit mask, the Concat of the cache and its repeated heads.
    A sliding_window_cache of at least the window's positions holds all that a query sees: it is the window alone. A
    smooth softmax is a sink of 0.
    Refuses (remark): an attention bias, a quantised cache, a sliding one below its window; seqlens_k that is
    not the sum of attention_mask minus one; a mask that is not proved to be the causal one; a cache that is not the
    graph's own.
  }];
}
def RaiseSdpa : Pass<"llmc-raise-sdpa", "mlir::ModuleOp"> {
  let summary = "attention that the graph writes out becomes llm.rope and llm.attention over the cache";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Needs llmc-raise-linear and -signature. Softmax and the standard Attention operator, with all that leads to them:
    what is proved, and how, is in README.md. Leaves llm.linear of a part of a packed weight, llm.head_norm, llm.rope,
    llm.attention; past and present disappear as in llmc-raise-attention. Gather of a table by positions becomes
    llm.embed of positions.
    Refuses (remark): a mask that is not proved to be causal, with or without a window; q, k or v that are not proved to
    be columns of rows, normed and rotated; a cache that is not proved to be one; heads that share keys unevenly.
  }];
}
def RaiseActivation : Pass<"llmc-raise-activation", "mlir::ModuleOp"> {
  let summary = "activation functions, factors and bounds become llm.activate, llm.gated_mul and llm.scale";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    SiLU: x * Sigmoid(x), Swish. GELU: 0.5 * x * (1 + Erf(x / sqrt(2))), 0.5 * x * (1 + Tanh(sqrt(2/pi) * (x + 0.044715 *
    x^3))), products in any order, x^3 as Pow or Mul; Gelu (opset 20), com.microsoft Gelu, BiasGelu, FastGelu (a bias is
    that of the linear before). Relu. Such a value times another is llm.gated_mul. bound * Tanh(x / bound) is llm.scale
    with a softcap; a product with a number is llm.scale, or the scale of an embedding.
    Refuses (remark): a Sigmoid of another value than it is multiplied with; x * Sigmoid(c * x) with c other than 1.
  }];
}
def FinishRaise : Pass<"llmc-finish-raise", "mlir::ModuleOp"> {
  let summary = "the canonical form: only llm ops, symbols in the order of use, logits of the wanted rows only";
  let description = [{
    Needs llmc-raise-signature. Leaves `@step(%tokens, %positions, %logit_rows)` as dialects/llm/Decoder.h builds
    it, with the module's sizes. The selection of rows is moved above the final norm; a graph that keeps the last row
    (Gather, Slice) is one of all rows. A norm of q or k that has one head is one of heads.
    Refuses (error): a node that nothing has raised, with the reason; an output other than logits and the cache.
  }];
}
#endif
