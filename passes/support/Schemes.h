// Names of attributes that passes leave for each other.
#pragma once
#include "llvm/ADT/StringRef.h"

namespace llmc {
/// Values of wq.compute: what the products of a quantised linear are made of.
inline constexpr llvm::StringLiteral kComputeModes[] = {"f32", "bf16", "bf16-pair", "f16", "int8", "int8-requantised"};
/// Those that round activations to 8 bits or fewer: attention may do so too (AttentionDesc::bf16).
inline bool roundsActivations(llvm::StringRef mode) { return mode == "bf16" || mode.starts_with("int8"); }
inline constexpr llvm::StringLiteral kSchemeAttr = "wq.scheme";   // on llm.weight: the scheme to bring it to
inline constexpr llvm::StringLiteral kComputeAttr = "wq.compute"; // on the module: one of kComputeModes
inline constexpr llvm::StringLiteral kRequantiseAttr =
    "wq.requantise";                                             // on a linear: MatmulDesc::requantise, many rows
inline constexpr llvm::StringLiteral kGatheredAttr = "gathered"; // on wq.packed: a step reads single rows of it
inline constexpr llvm::StringLiteral kPack = "pack";             // name of the weight program
inline constexpr llvm::StringLiteral kArenaRowBytes = "kernel.arena_row_bytes",
                                     kLogitArenaRowBytes = "kernel.logit_arena_row_bytes",
                                     kLogitsOffset = "kernel.logits_offset", kLogitsStride = "kernel.logits_stride",
                                     kPrivateBytes = "kernel.private_bytes", kMatmulCalls = "kernel.matmul_calls",
                                     kPageBytes = "kernel.page_bytes", kWeightBytes = "wq.weight_bytes",
                                     kKvBits = "kernel.kv_bits", kPartialBytes = "kernel.partial_bytes",
                                     kTarget = "kernel.target";
} // namespace llmc
