// Names of attributes that passes leave for each other.
#pragma once
#include "llvm/ADT/StringRef.h"

namespace llmc {
inline constexpr llvm::StringLiteral kSchemeAttr = "wq.scheme";   // on llm.weight: the scheme to bring it to
inline constexpr llvm::StringLiteral kComputeAttr = "wq.compute"; // on the module: "f32" or "int8"
inline constexpr llvm::StringLiteral kGatheredAttr = "gathered";  // on wq.packed: a step reads single rows of it
inline constexpr llvm::StringLiteral kPack = "pack";              // name of the weight program
inline constexpr llvm::StringLiteral kArenaRowBytes = "kernel.arena_row_bytes",
                                     kLogitArenaRowBytes = "kernel.logit_arena_row_bytes",
                                     kLogitsOffset = "kernel.logits_offset", kLogitsStride = "kernel.logits_stride",
                                     kPageBytes = "kernel.page_bytes", kWeightBytes = "wq.weight_bytes",
                                     kKvBits = "kernel.kv_bits", kPartialBytes = "kernel.partial_bytes",
                                     kTarget = "kernel.target";
} // namespace llmc
