// The manual of all passes but the raising ones (passes/raise/RaisePasses.td): needs, leaves, refuses.
#ifndef LLMC_PASSES
#define LLMC_PASSES
include "mlir/Pass/PassBase.td"

def WqAssign : Pass<"llmc-wq-assign", "mlir::ModuleOp"> {
  let summary = "choose a scheme for each weight matrix, by stated rules";
  let description = [{
    Needs llm.weight symbols used by llm.linear, llm.moe and llm.embed. Leaves `wq.scheme` on each of those symbols and
    `wq.compute` on the module.
    - keep: the scheme that holds the file's values exactly.
    - int4: weights of linears i4, f16 scales; the output head and the embedding i8 with groups of 32, because an error
      there reaches every logit. int8: all i8. Groups of `group-size`, symmetric unless `asymmetric`.
      The router of a llm.moe is kept.
    - auto: keep if any weight is already quantised, else int4.
    compute auto is int8 when any linear's weight is an integer scheme and `llm.hidden` is at least 1024, bf16
    for narrower ones, which are sensitive to rounded activations, and f32 without integer schemes.
    Refuses (remark): group-size or asymmetric where weights are kept.
    Refuses (error): a group size that is not 16, 32, 64, 128 or 256.
  }];
  let dependentDialects = ["llmc::wq::WqDialect"];
  let options = [
    Option<"quantize", "quantize", "std::string", "\"auto\"", "auto, keep, int8 or int4">,
    Option<"groupSize", "group-size", "int64_t", "32", "k per scale">,
    Option<"asymmetric", "asymmetric", "bool", "false", "with zero points">,
    Option<"compute", "compute", "std::string", "\"auto\"", "auto or one of kComputeModes">];
}
def WqQuantize : Pass<"llmc-wq-quantize", "mlir::ModuleOp"> {
  let summary = "bring weights to their schemes: wq.quantize, wq.recode, wq.decode; llm.linear becomes wq.linear";
  let description = [{
    Needs `wq.scheme` on weights (wq-assign). Leaves wq.linear on weights in a scheme (`!wq.quant` or floats), llm.embed
    on a table in a scheme, norm weights and biases in f32. Equal chains are shared (a tied head is one weight).
  }];
  let dependentDialects = ["llmc::wq::WqDialect"];
}
def FuseAttentionKv : Pass<"llmc-fuse-attention-kv", "mlir::func::FuncOp"> {
  let summary = "rope, append to the cache and attention as one op";
  let description = [{
    Needs llm.attention whose q and k come from llm.rope (both, with one #llm.rope) or neither. Leaves llm.attention_kv
    of llm.concat_columns(q, k, v) and one llm.rope_table for each #llm.rope. llm.head_norm of q and k before the ropes
    becomes one llm.qk_norm of the concatenation.
    Refuses (remark): only one of q and k is rotated or normalised; different ropes or norms; one has another use.
  }];
  let dependentDialects = ["llmc::llm::LlmDialect", "llmc::wq::WqDialect"];
}
def FuseQkv : Pass<"llmc-fuse-qkv", "mlir::func::FuncOp"> {
  let summary = "one linear for the q, k and v projections";
  let description = [{
    Needs llm.concat_columns of wq.linear results into llm.attention_kv or llm.qk_norm. Leaves one wq.linear of the concatenated weights.
    Refuses (remark): a part is not a wq.linear, has another use, reads another input, or differs in scheme or in having
    a bias. Then the parts stay separate and write into one buffer.
  }];
  let dependentDialects = ["llmc::wq::WqDialect"];
}
def FuseGateUp : Pass<"llmc-fuse-gate-up", "mlir::func::FuncOp"> {
  let summary = "one linear for the gate and up projections";
  let description = [{
    Needs llm.gated_mul. Leaves llm.glu_linear of the weights in turns of 32 rows; where the width is not a multiple of
    32, llm.glu of one wq.linear of the concatenated weights; or, refused (remark: not two linears, another use, inputs
    or schemes differ), llm.glu of llm.concat_columns.
  }];
  let dependentDialects = ["llmc::llm::LlmDialect", "llmc::wq::WqDialect"];
}
def StackExperts : Pass<"llmc-stack-experts", "mlir::func::FuncOp"> {
  let summary = "the weights of all experts behind each other: two matrices";
  let description = [{
    Needs llm.moe. Leaves llm.experts of concatenated weights: gate and up of each expert in turns of 32 rows.
    Refuses (error, as no kernel computes llm.moe): the experts' weights differ in scheme; the width is not a multiple of
    64, or that of the hidden rows not one of 32, so that an expert would not be whole panels.
  }];
  let dependentDialects = ["llmc::llm::LlmDialect", "llmc::wq::WqDialect"];
}
def FuseResidual : Pass<"llmc-fuse-residual", "mlir::func::FuncOp"> {
  let summary = "a linear adds to the residual stream in place";
  let description = [{
    Needs llm.add(x, wq.linear) or llm.add(x, llm.experts). Leaves wq.linear or llm.experts with `residual`.
    Refuses (remark): the linear has another use; x is read after the add, so it can't be overwritten.
  }];
  let dependentDialects = ["llmc::wq::WqDialect"];
}
def ChooseRowFormats : Pass<"llmc-choose-row-formats", "mlir::func::FuncOp"> {
  let summary = "the rows that linears read: q8 or 16 bits, as wq.compute and the target's kernels allow";
  let description = [{
    Leaves wq.quantize_rows before each wq.linear that computes on other rows than f32, one for each distinct input and
    format: one format for steps of few rows, one for many. Of the formats that the mode allows, the one whose kernel
    costs least on the target: int8 takes q8 with a scale per 32 k for few rows and per group (at most 128 k) for many,
    or 16-bit rows where tiles of them are faster; bf16, bf16-pair and f16 take theirs; int8-requantised is int8, but
    for many rows with weights requantised to 8 bits per 512 k (`requantise` on the linear) and q8 rows with a scale per
    256 k. The linear that computes the logits takes q8 rows in steps of many rows only, as its rounding error reaches
    every logit; else 16-bit or f32 rows. The linear of a llm.experts' logits keeps f32 rows: an error there chooses another expert. Of llm.experts the rows of both matrices
    are chosen, those between them as `hidden`, never requantised.
    Refuses (remark): no kernel of the target takes the mode's rows with such weights; f32 rows are used. int8-requantised
    and no kernel of the target requantises such weights at a gain; their exact group scales are used.
  }];
  let dependentDialects = ["llmc::wq::WqDialect"];
  let options = [Option<"target", "target", "std::string", "\"x86-64-v2\"", "target name (llmc targets)">];
}
def FuseNormIntoLinear : Pass<"llmc-fuse-norm-into-linear", "mlir::func::FuncOp"> {
  let summary = "norms and GLUs write the rows that their linears read";
  let description = [{
    Needs wq.quantize_rows of llm.rms_norm, llm.layer_norm, llm.activate, llm.glu, llm.glu_linear or llm.attention_kv.
    Leaves them with a result of !wq.rows. A llm.glu_linear writes q8 rows in blocks of 32 only, a llm.attention_kv too,
    and only if steps of many rows have them as well and 32 divides head_dim: what they do not write remains
    wq.quantize_rows, of their f32 rows.
    Refuses (remark): the f32 rows have another use.
  }];
}
def SplitWeightProgram : Pass<"llmc-split-weight-program", "mlir::ModuleOp"> {
  let summary = "move what depends on weights alone into @pack";
  let description = [{
    Needs @step. Leaves @pack (run while compiling, tensor by tensor), one wq.packed symbol for each distinct chain with
    its place in the artifact (4 KB aligned, in order of first use), and wq.get_packed in @step; llm.weight symbols stay
    for @pack. Packs matrices in panels, vectors as f32.
  }];
  let dependentDialects = ["llmc::wq::WqDialect"];
}
def SelectKernels : Pass<"llmc-select-kernels", "mlir::ModuleOp"> {
  let summary = "kernel.call for every op of @step, from the catalogue";
  let description = [{
    Needs @step over llm and wq ops with packed weights. Leaves kernel.func and kernel.call. For each op and row class
    the cheapest kernel that accepts is taken; each refusal of a cheaper-looking one is a remark. Attention may round its
    operands to bf16 where `wq.compute` rounds activations as far (bf16, int8).
    Refuses (error): no kernel accepts; the reasons are listed.
  }];
  let dependentDialects = ["llmc::kernel::KernelDialect", "llmc::wq::WqDialect"];
  let options = [
    Option<"target", "target", "std::string", "\"x86-64-v2\"", "target name (llmc targets)">,
    Option<"kvType", "kv-type", "std::string", "\"f16\"", "f32, f16, bf16 or int8">];
}
def ReplicateRows : Pass<"llmc-replicate-rows", "mlir::func::FuncOp"> {
  let summary = "in steps of few rows, every thread computes norms and the like for itself";
  let description = [{
    Needs kernel.call. Leaves `replicated` on calls that work row by row, or on all rows in one unit, write a new value, and whose value nobody
    overwrites: their readers then need no barrier in steps of few rows.
  }];
}
def PlanMemory : Pass<"llmc-plan-memory", "mlir::func::FuncOp"> {
  let summary = "liveness; one arena; an offset for each value";
  let description = [{
    Needs kernel.call. Leaves `offset` on each call with a result, and `kernel.arena_row_bytes`,
    `kernel.logit_arena_row_bytes` on the function. Offsets are bytes per row of capacity, multiples of 64. Tied results
    share the buffer of their input. Replicated calls get a `private_offset` as well, and the function
    `kernel.private_bytes`, of one thread. Refuses (error): a tied input is read later.
  }];
}
def InsertBarriers : Pass<"llmc-insert-barriers", "mlir::func::FuncOp"> {
  let summary = "SPMD: a barrier where threads exchange data";
  let description = [{
    Needs planned kernel.calls. Leaves kernel.barrier before a call that reads, or overwrites, bytes that another thread
    may have written, or may still read, since the last barrier, for the modes of a step in which that can be: calls that
    split by rows and touch the same rows of the same value need none, nor do readers of what every thread has computed
    for itself.
  }];
  let dependentDialects = ["llmc::kernel::KernelDialect"];
}
def LowerToLlvm : Pass<"llmc-lower-to-llvm", "mlir::ModuleOp"> {
  let summary = "@step as a function of (batch, thread, threads) that fills argument structures and calls kernels";
  let description = [{
    Needs planned kernel.calls with barriers. Leaves llvm.func @llmc_step_TARGET and declarations of the kernels;
    kernel.func, wq.packed and llm.weight symbols stay for emission. @pack is not touched.
  }];
  let options = [Option<"target", "target", "std::string", "\"x86-64-v2\"", "names the step function">];
}
#endif
