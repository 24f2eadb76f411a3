// Rows of com.microsoft, version 1: what ONNX Runtime's exporters, optimisers and quantisers write for decoders. Rows
// of ai.onnx.preview.training, version 1.
#include "frontends/onnx/Check.h"

namespace llmc::onnx {

// clang-format off: a row is a line or two of a table
static constexpr Operator kMicrosoftOperators[] = {
    {"Attention", 1, "fff?W?_?f?W?>f_?", "do_rotary:i mask_filter_value:f num_heads:i! past_present_share_buffer:i "
     "qkv_hidden_sizes:I rotary_embedding_dim:i scale:f unidirectional:i", inferMsAttention},
    {"BiasGelu", 1, "ff>f", "", inferBroadcast},
    {"DequantizeLinear", 1, "nfn?>f", "axis:i block_size:i", inferDequantize},
    {"DynamicQuantizeMatMul", 1, "fifi?f?>f", "", inferMatMul},
    {"EmbedLayerNormalization", 1, "WW?fff?ffW?W?>fW?f?", "epsilon:f mask_index_type:i", inferEmbedNorm},
    {"FastGelu", 1, "ff?>f", ""},
    {"FusedConv", 1, "fff?f?>f", "activation:s activation_params:F auto_pad:s dilations:I group:i kernel_shape:I pads:I "
     "strides:I", inferConv},
    {"FusedGemm", 1, "fff?>f", "activation:s activation_alpha:f activation_beta:f activation_gamma:f alpha:f beta:f "
     "transA:i transB:i", inferGemm},
    {"FusedMatMul", 1, "ff>f", "alpha:f transA:i transB:i transBatchA:i transBatchB:i", inferFusedMatMul},
    {"FusedMatMulActivation", 1, "ff>f", "activation:s! activation_alpha:f activation_axis:i activation_beta:f "
     "activation_gamma:f alpha:f transA:i transB:i transBatchA:i transBatchB:i", inferFusedMatMul},
    {"GatherBlockQuantized", 1, "ixfi?>f", "bits:i block_size:i gather_axis:i quantize_axis:i",
     inferGatherBlockQuantized},
    {"Gelu", 1, "f>f", ""},
    {"GroupQueryAttention", 1, "ff?f?a?a?WW_?_?x?f?f?_?_?>fa?a?f?", "do_rotary:i k_quant_type:s kv_cache_bit_width:i "
     "kv_num_heads:i! local_window_size:i num_heads:i! qk_output:i rotary_interleaved:i scale:f "
     "sliding_window_cache:i smooth_softmax:i softcap:f v_quant_type:s", inferGroupQueryAttention},
    {"MatMulInteger16", 1, "ij>W", "", inferMatMul},
    {"MatMulIntegerToFloat", 1, "ijffi?j?f?>f", "", inferMatMul},
    {"MatMulNBits", 1, "fUf_?W?f?>f", "K:i! N:i! accuracy_level:i bits:i block_size:i!", inferMatMulNBits},
    {"MoE", 1, "ffff?ff?f?f?>f", "activation_alpha:f activation_beta:f activation_type:s k:i "
     "normalize_routing_weights:i swiglu_fusion:i swiglu_limit:f use_sparse_mixer:i"},
    {"MultiHeadAttention", 1, "ff?f?f?W?f?f?f?W?W?>ff?f?f?", "mask_filter_value:f num_heads:i! scale:f unidirectional:i",
     inferMultiHeadAttention},
    {"QAttention", 1, "ijfffW?i?j?f?>ff?", "do_rotary:i mask_filter_value:f num_heads:i! past_present_share_buffer:i "
     "scale:f unidirectional:i", inferMsAttention},
    {"QGemm", 1, "ifijfjW?f?l?>.", "alpha:f transA:i transB:i", inferQGemm},
    {"QLinearAdd", 1, "iFi?iFi?Fi?>i", "", inferQLinearBinary},
    {"QLinearAveragePool", 1, "iFi?Fi?>i", "auto_pad:s ceil_mode:i channels_last:i count_include_pad:i kernel_shape:I! "
     "pads:I strides:I", inferUnknown},
    {"QLinearConcat", 1, "Fi_*>i", "axis:i!", inferUnknown},
    {"QLinearConv", 1, "iFijFjFlW?>l", "auto_pad:s channels_last:i dilations:I group:i kernel_shape:I pads:I strides:I",
     inferUnknown},
    {"QLinearGlobalAveragePool", 1, "iFi?Fi?>i", "channels_last:i", inferUnknown},
    {"QLinearLeakyRelu", 1, "iFi?Fi?>i", "alpha:f"},
    {"QLinearMul", 1, "iFi?iFi?Fi?>i", "", inferQLinearBinary},
    {"QLinearReduceMean", 1, "iFi?Fi?>i", "axes:I! keepdims:i!", inferReduce},
    {"QLinearSigmoid", 1, "iFi?Fi?>i", ""},
    {"QLinearSoftmax", 1, "iFi?Fi>i", "axis:i opset:i!"},
    {"QLinearWhere", 1, "BiFiiFiFi>i", "", inferUnknown},
    {"QMoE", 1, "ffif?f?if?f?i?f?f?i?i?i?_?_?_?_?_?_?_?_?>f", "activation_alpha:f activation_beta:f activation_type:s "
     "block_size:i expert_weight_bits:i k:i normalize_routing_weights:i swiglu_fusion:i swiglu_limit:f "
     "use_sparse_mixer:i"},
    {"QuantizeLinear", 1, "nfm?>m", "axis:i block_size:i", inferQuantize},
    {"QuickGelu", 1, "f>f", "alpha:f"},
    {"RotaryEmbedding", 1, "fLff>f", "interleaved:i is_packed_batching:i num_heads:i rotary_embedding_dim:i scale:f",
     inferMsRotary},
    {"SkipLayerNormalization", 1, "ffff?f?>f.?.?f?", "epsilon:f", inferSkipNorm},
    {"SkipSimplifiedLayerNormalization", 1, "fff_?>f.?.?f?", "epsilon:f", inferSkipNorm},
    {"TransposeMatMul", 1, "ff>f", "alpha:f transA:i transB:i", inferFusedMatMul},
    {"Trilu", 1, "aL?>a", "upper:i", inferTrilu},
};
static constexpr Operator kTrainingOperators[] = {
    {"Adagrad", 1, "fL_*>_*", "decay_factor:f epsilon:f norm_coefficient:f", inferOptimizer},
    {"Adam", 1, "fL_*>_*", "alpha:f beta:f epsilon:f norm_coefficient:f norm_coefficient_post:f", inferOptimizer},
    {"Momentum", 1, "fL_*>_*", "alpha:f! beta:f! mode:s! norm_coefficient:f!", inferOptimizer},
};
// clang-format on

llvm::ArrayRef<Operator> trainingOperators() { return kTrainingOperators; }
llvm::ArrayRef<Operator> microsoftOperators() { return kMicrosoftOperators; }

} // namespace llmc::onnx
