"""Which operators of ai.onnx a decoder graph can contain: those that the exporters write, and what stands beside them:
tensor movement, element-wise, reductions, products, normalisation, attention, quantisation, casts, comparisons, shapes."""

DECODER = frozenset("""
    Abs Add And ArgMax ArgMin Attention BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Cast CastLike Ceil Clip Compress Concat Constant ConstantOfShape Cos CumSum
    DequantizeLinear Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand Flatten Floor
    Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual
    Identity If IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop
    MatMul MatMulInteger Max Mean Min Mod Mul Neg NonZero Not OneHot Or Pad Pow QLinearMatMul QuantizeLinear
    RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape RotaryEmbedding Round Scan ScatterElements ScatterND
    Shape Sigmoid Sign Sin Size Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Swish
    Tanh TensorScatter Tile TopK Transpose Trilu Unsqueeze Where Xor
""".split())

# Operators that the suite also has as graphs of others: `_expanded` cases that must pass.
EXPANDED = ("Attention", "LayerNormalization", "RMSNormalization", "RotaryEmbedding")
