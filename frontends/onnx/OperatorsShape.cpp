// Rows of ai.onnx: what computes with shapes, and moves data.
#include "frontends/onnx/Check.h"

namespace llmc::onnx {

// Versions are those of the standard in which the row's form is first valid; forms that ended before 7 are left out.
// clang-format off: a row is a line or two of a table
static constexpr Operator kShapeOperators[] = {
    {"CenterCropPad", 18, "ax>a", "axes:I", inferCenterCropPad},
    {"Col2Im", 18, "aLL>a", "dilations:I pads:I strides:I", inferCol2Im},
    {"Compress", 9, "aB>a", "axis:i", inferCompress},
    {"Concat", 4, "a*>a", "axis:i!", inferConcat},
    {"ConstantOfShape", 9, "L>.", "value:t", inferConstantOfShape},
    {"DepthToSpace", 1, "a>a", "blocksize:i!", inferDepthToSpace},
    {"DepthToSpace", 11, "a>a", "blocksize:i! mode:s", inferDepthToSpace},
    {"Expand", 8, "aL>a", "", inferExpand},
    {"EyeLike", 9, "a>.", "dtype:i k:i", inferDType},
    {"Flatten", 1, "a>a", "axis:i", inferFlatten},
    {"Gather", 1, "ax>a", "axis:i", inferGather},
    {"GatherElements", 11, "ax>a", "axis:i", inferGatherElements},
    {"GatherND", 11, "aL>a", "", inferGatherNd},
    {"GatherND", 12, "aL>a", "batch_dims:i", inferGatherNd},
    {"NonZero", 9, "a>L", "", inferNonZero},
    {"OneHot", 9, "nma>a", "axis:i", inferOneHot},
    {"Pad", 2, "a>a", "mode:s pads:I! value:f", inferPad},
    {"Pad", 11, "aLa?>a", "mode:s", inferPad},
    {"Pad", 18, "aLa?x?>a", "mode:s", inferPad},
    {"Reshape", 5, "aL>a", "", inferReshape},
    {"Reshape", 14, "aL>a", "allowzero:i", inferReshape},
    {"Resize", 10, "aF>a", "mode:s", inferResize},
    {"Resize", 11, "afFL?>a", "coordinate_transformation_mode:s cubic_coeff_a:f exclude_outside:i "
     "extrapolation_value:f mode:s nearest_mode:s", inferResize},
    {"Resize", 13, "af?F?L?>a", "coordinate_transformation_mode:s cubic_coeff_a:f exclude_outside:i "
     "extrapolation_value:f mode:s nearest_mode:s", inferResize},
    {"Resize", 18, "af?F?L?>a", "antialias:i axes:I coordinate_transformation_mode:s cubic_coeff_a:f "
     "exclude_outside:i extrapolation_value:f keep_aspect_ratio_policy:s mode:s nearest_mode:s", inferResize},
    {"ReverseSequence", 10, "aL>a", "batch_axis:i time_axis:i"},
    {"Scatter", 9, "axa>a", "axis:i", inferScatterElements},
    {"ScatterElements", 11, "axa>a", "axis:i", inferScatterElements},
    {"ScatterElements", 16, "axa>a", "axis:i reduction:s", inferScatterElements},
    {"ScatterND", 11, "aLa>a", "", inferScatterNd},
    {"ScatterND", 16, "aLa>a", "reduction:s", inferScatterNd},
    {"Shape", 1, "a>L", "", inferShape},
    {"Shape", 15, "a>L", "end:i start:i", inferShape},
    {"Size", 1, "a>L", "", inferSize},
    {"Slice", 1, "a>a", "axes:I ends:I! starts:I!", inferSlice},
    {"Slice", 10, "axxx?x?>a", "", inferSlice},
    {"SpaceToDepth", 1, "a>a", "blocksize:i!", inferSpaceToDepth},
    {"SpaceToDepth", 28, "a>a", "blocksize:i! mode:s", inferSpaceToDepth},
    {"Split", 2, "a>a*", "axis:i split:I", inferSplit},
    {"Split", 13, "aL?>a*", "axis:i", inferSplit},
    {"Split", 18, "aL?>a*", "axis:i num_outputs:i", inferSplit},
    {"Squeeze", 1, "a>a", "axes:I", inferSqueeze},
    {"Squeeze", 13, "aL?>a", "", inferSqueeze},
    {"TensorScatter", 24, "aaL?>a", "axis:i mode:s"},
    {"Tile", 6, "aL>a", "", inferTile},
    {"TopK", 1, "n>nL", "axis:i k:i!", inferTopK},
    {"TopK", 10, "nL>nL", "axis:i", inferTopK},
    {"TopK", 11, "nL>nL", "axis:i largest:i sorted:i", inferTopK},
    {"Transpose", 1, "a>a", "perm:I", inferTranspose},
    {"Trilu", 14, "aL?>a", "upper:i", inferTrilu},
    {"Unique", 11, "a>aL?L?L?", "axis:i sorted:i", inferUnique},
    {"Unsqueeze", 1, "a>a", "axes:I!", inferUnsqueeze},
    {"Unsqueeze", 13, "aL>a", "", inferUnsqueeze},
    {"Upsample", 7, "a>a", "mode:s scales:F!", inferResize},
    {"Upsample", 9, "aF>a", "mode:s", inferResize},
};
// clang-format on

llvm::ArrayRef<Operator> shapeOperators() { return kShapeOperators; }

} // namespace llmc::onnx
