// Rows of ai.onnx: layers, quantisation, pictures, signals, control flow.
#include "frontends/onnx/Check.h"

namespace llmc::onnx {

// Versions are those of the standard in which the row's form is first valid; forms that ended before 7 are left out.
// clang-format off: a row is a line or two of a table
static constexpr Operator kLayerOperators[] = {
    {"AffineGrid", 20, "fL>f", "align_corners:i", inferAffineGrid},
    {"Attention", 23, "ffga?f?g?>ff?g?f?", "is_causal:i kv_num_heads:i q_num_heads:i qk_matmul_output_mode:i scale:f "
     "softcap:f softmax_precision:i", inferAttention},
    {"Attention", 24, "ffga?f?g?L?>ff?g?f?", "is_causal:i kv_num_heads:i q_num_heads:i qk_matmul_output_mode:i "
     "scale:f softcap:f softmax_precision:i", inferAttention},
    {"Attention", 25, "ffga?f?g?L?>ff?g?f?", "is_causal:i kv_num_heads:i left_window_size:i q_num_heads:i "
     "qk_matmul_output_mode:i right_window_size:i scale:f softcap:f softmax_precision:i", inferAttention},
    {"AveragePool", 7, "f>f", "auto_pad:s count_include_pad:i kernel_shape:I! pads:I strides:I", inferPool},
    {"AveragePool", 10, "f>f", "auto_pad:s ceil_mode:i count_include_pad:i kernel_shape:I! pads:I "
     "strides:I", inferPool},
    {"AveragePool", 19, "f>f", "auto_pad:s ceil_mode:i count_include_pad:i dilations:I kernel_shape:I! pads:I "
     "strides:I", inferPool},
    {"BatchNormalization", 7, "fffff>ff?f?f?f?", "epsilon:f momentum:f spatial:i", inferBatchNorm},
    {"BatchNormalization", 9, "fffff>ff?f?f?f?", "epsilon:f momentum:f", inferBatchNorm},
    {"BatchNormalization", 14, "fffgg>fg?g?", "epsilon:f momentum:f training_mode:i", inferBatchNorm},
    {"BatchNormalization", 15, "fgghh>fh?h?", "epsilon:f momentum:f training_mode:i", inferBatchNorm},
    {"CausalConvWithState", 27, "fff?f?>ff", "activation:s", inferFirstShapes},
    {"Conv", 1, "fff?>f", "auto_pad:s dilations:I group:i kernel_shape:I pads:I strides:I", inferConv},
    {"ConvInteger", 10, "iji?j?>W", "auto_pad:s dilations:I group:i kernel_shape:I pads:I strides:I", inferConv},
    {"ConvTranspose", 1, "fff?>f", "auto_pad:s dilations:I group:i kernel_shape:I output_padding:I output_shape:I "
     "pads:I strides:I", inferConvTranspose},
    {"DFT", 17, "fx?>f", "axis:i inverse:i onesided:i", inferDft},
    {"DFT", 20, "fx?L?>f", "inverse:i onesided:i", inferDft},
    {"DeformConv", 19, "ffff?f?>f", "dilations:I group:i kernel_shape:I offset_group:i pads:I strides:I", inferConv},
    {"DequantizeLinear", 10, "iFi?>F", "", inferDequantize},
    {"DequantizeLinear", 13, "iFi?>F", "axis:i", inferDequantize},
    {"DequantizeLinear", 19, "nfn?>f", "axis:i", inferDequantize},
    {"DequantizeLinear", 21, "nfn?>f", "axis:i block_size:i", inferDequantize},
    {"DequantizeLinear", 23, "nfn?>.", "axis:i block_size:i output_dtype:i", inferDequantize},
    {"Dropout", 7, "f>ff?", "ratio:f"},
    {"Dropout", 10, "f>fB?", "ratio:f"},
    {"Dropout", 12, "fa?B?>fB?", "seed:i"},
    {"DynamicQuantizeLinear", 11, "F>UFU", "", inferDynamicQuantize},
    {"GRU", 7, "ffff?W?f?>f?f?", "activation_alpha:F activation_beta:F activations:S clip:f direction:s "
     "hidden_size:i linear_before_reset:i", inferRecurrent},
    {"GRU", 14, "ffff?W?f?>f?f?", "activation_alpha:F activation_beta:F activations:S clip:f direction:s "
     "hidden_size:i layout:i linear_before_reset:i", inferRecurrent},
    {"GlobalAveragePool", 1, "f>f", "", inferGlobalPool},
    {"GlobalLpPool", 2, "f>f", "p:i", inferGlobalPool},
    {"GlobalMaxPool", 1, "f>f", "", inferGlobalPool},
    {"GridSample", 16, "af>a", "align_corners:i mode:s padding_mode:s", inferGridSample},
    {"GroupNormalization", 18, "fff>f", "epsilon:f num_groups:i!"},
    {"GroupNormalization", 21, "fff>f", "epsilon:f num_groups:i! stash_type:i"},
    {"If", 1, "B>_*", "else_branch:g! then_branch:g!"},
    {"ImageDecoder", 20, "U>U", "pixel_format:s", inferImageDecoder},
    {"InstanceNormalization", 6, "fff>f", "epsilon:f"},
    {"LRN", 1, "f>f", "alpha:f beta:f bias:f size:i!"},
    {"LSTM", 7, "ffff?W?f?f?f?>f?f?f?", "activation_alpha:F activation_beta:F activations:S clip:f direction:s "
     "hidden_size:i input_forget:i", inferRecurrent},
    {"LSTM", 14, "ffff?W?f?f?f?>f?f?f?", "activation_alpha:F activation_beta:F activations:S clip:f direction:s "
     "hidden_size:i input_forget:i layout:i", inferRecurrent},
    {"LayerNormalization", 7, "fff?>f.?.?", "axis:i epsilon:f stash_type:i", inferLayerNorm},
    {"LinearAttention", 27, "fffg?f?f?>fg", "chunk_size:i kv_num_heads:i! q_num_heads:i! scale:f "
     "update_rule:s", inferFirstShapes},
    {"Loop", 1, "L?B?_*>_*", "body:g!"},
    {"LpPool", 2, "f>f", "auto_pad:s kernel_shape:I! p:i pads:I strides:I", inferPool},
    {"LpPool", 18, "f>f", "auto_pad:s ceil_mode:i dilations:I kernel_shape:I! p:i pads:I strides:I", inferPool},
    {"MaxPool", 1, "n>n", "auto_pad:s kernel_shape:I! pads:I strides:I", inferPool},
    {"MaxPool", 8, "n>nL?", "auto_pad:s kernel_shape:I! pads:I storage_order:i strides:I", inferPool},
    {"MaxPool", 10, "n>nL?", "auto_pad:s ceil_mode:i dilations:I kernel_shape:I! pads:I storage_order:i "
     "strides:I", inferPool},
    {"MaxRoiPool", 1, "ff>f", "pooled_shape:I! spatial_scale:f", inferRoi},
    {"MaxUnpool", 9, "fLL?>f", "kernel_shape:I! pads:I strides:I", inferMaxUnpool},
    {"MeanVarianceNormalization", 9, "f>f", "axes:I"},
    {"NonMaxSuppression", 10, "FFL?F?F?>L", "center_point_box:i", inferNonMaxSuppression},
    {"QLinearConv", 10, "iFijFjFlW?>l", "auto_pad:s dilations:I group:i kernel_shape:I pads:I "
     "strides:I", inferQLinearConv},
    {"QuantizeLinear", 10, "nFm?>m", "", inferQuantize},
    {"QuantizeLinear", 13, "nFm?>m", "axis:i", inferQuantize},
    {"QuantizeLinear", 19, "nnm?>m", "axis:i saturate:i", inferQuantize},
    {"QuantizeLinear", 21, "nnm?>m", "axis:i block_size:i output_dtype:i saturate:i", inferQuantize},
    {"QuantizeLinear", 23, "nmk?>k", "axis:i block_size:i output_dtype:i precision:i saturate:i", inferQuantize},
    {"RMSNormalization", 23, "fg>g", "axis:i epsilon:f stash_type:i", inferRmsNorm},
    {"RNN", 7, "ffff?W?f?>f?f?", "activation_alpha:F activation_beta:F activations:S clip:f direction:s "
     "hidden_size:i", inferRecurrent},
    {"RNN", 14, "ffff?W?f?>f?f?", "activation_alpha:F activation_beta:F activations:S clip:f direction:s "
     "hidden_size:i layout:i", inferRecurrent},
    {"RoiAlign", 10, "ffL>f", "mode:s output_height:i output_width:i sampling_ratio:i spatial_scale:f", inferRoi},
    {"RoiAlign", 16, "ffL>f", "coordinate_transformation_mode:s mode:s output_height:i output_width:i "
     "sampling_ratio:i spatial_scale:f", inferRoi},
    {"RotaryEmbedding", 23, "fffL?>f", "interleaved:i num_heads:i rotary_embedding_dim:i", inferRotary},
    {"STFT", 17, "fxf?x?>f", "onesided:i", inferStft},
    {"Scan", 8, "L?_*>_*", "body:g! directions:I num_scan_inputs:i!"},
    {"Scan", 9, "_*>_*", "body:g! num_scan_inputs:i! scan_input_axes:I scan_input_directions:I scan_output_axes:I "
     "scan_output_directions:I"},
    {"SimplifiedLayerNormalization", 7, "fg>g.?", "axis:i epsilon:f stash_type:i", inferRmsNorm},
    {"TfIdfVectorizer", 9, "x>F", "max_gram_length:i! max_skip_count:i! min_gram_length:i! mode:s! ngram_counts:I! "
     "ngram_indexes:I! pool_int64s:I pool_strings:S weights:F", inferTfIdf},
};
// clang-format on

llvm::ArrayRef<Operator> layerOperators() { return kLayerOperators; }

} // namespace llmc::onnx
