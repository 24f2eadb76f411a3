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
    rows of [batch, tokens, C] that come out of a Reshape have a known C.
  }];
}
def RaiseLinear : Pass<"llmc-raise-linear", "mlir::ModuleOp"> {
  let summary = "MatMul and MatMulNBits with a weight become llm.linear";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Leaves llm.linear, and llm.weight symbols: of a [K, N] float `transposed`, of MatMulNBits one of
    `!wq.encoded<matmul_nbits>`, with a bias if it has one, of DequantizeLinear of [K, N] in blocks along K (or
    Transpose of that of [N, K]) one of `!wq.encoded<onnx_blocks>`. An Add of a vector to a linear becomes its bias.
    Refuses (remark): the weight is not an initialiser; an element type that is not F32, F16 or BF16; MatMulNBits of 2
    bits, with float zero points, with g_idx, or with blocks of more than 256; DequantizeLinear without blocks, in
    blocks that are no multiple of 16 up to 256, or of unsigned codes without zero points.
  }];
}
def RaiseEmbed : Pass<"llmc-raise-embed", "mlir::ModuleOp"> {
  let summary = "Gather of rows of a table by tokens becomes llm.embed";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Needs llmc-raise-signature. Also com.microsoft GatherBlockQuantized of UINT8 data (as MatMulNBits) and of other
    types (as DequantizeLinear, llmc-raise-linear). A table may be that of the head: Transpose of [H, V], or Reshape of
    MatMulNBits's codes; then it is one llm.weight.
    Refuses (remark): the table is not an initialiser; another axis; UINT8 data with zero points.
  }];
}
def RaiseRmsNorm : Pass<"llmc-raise-rms-norm", "mlir::ModuleOp"> {
  let summary = "root-mean-square norms, fused with a residual or decomposed, become llm.rms_norm";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    SimplifiedLayerNormalization and RMSNormalization; com.microsoft SkipSimplifiedLayerNormalization (llm.add and the
    norm); and what torch.onnx writes: Mul(weight, Div(x, Sqrt(Add(ReduceMean(Pow(x, 2)), epsilon)))), with Mul of a
    reciprocal in place of Div, and casts. Adds of two activations become llm.add and casts between floats disappear:
    activations are f32.
    Refuses (remark): a weight that is not an initialiser; another axis or exponent; an epsilon that is not a positive
    number.
  }];
}
def RaiseRope : Pass<"llmc-raise-rope", "mlir::ModuleOp"> {
  let summary = "com.microsoft RotaryEmbedding becomes llm.rope";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Needs the `rope` that the importer found in the tables. The number of heads is that of the attention that reads it.
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
    Refuses (remark): softcap, smooth softmax, sinks, an attention bias, a quantised or sliding cache; seqlens_k that is
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
def RaiseGatedMlp : Pass<"llmc-raise-gated-mlp", "mlir::ModuleOp"> {
  let summary = "Mul(Mul(gate, Sigmoid(gate)), up) becomes llm.gated_mul silu";
  let dependentDialects = ["::llmc::llm::LlmDialect", "::llmc::wq::WqDialect"];
  let description = [{
    Refuses (remark): the Sigmoid is of another value than it is multiplied with.
  }];
}
def FinishRaise : Pass<"llmc-finish-raise", "mlir::ModuleOp"> {
  let summary = "the canonical form: only llm ops, symbols in the order of use, logits of the wanted rows only";
  let description = [{
    Needs llmc-raise-signature. Leaves `@step(%tokens, %positions, %logit_rows)` as dialects/llm/Decoder.h builds
    it, with the module's sizes. The selection of rows is moved above the final norm.
    Refuses (error): a node that nothing has raised, with the reason; an output other than logits and the cache.
  }];
}
#endif
