target_sources(llmc_codegen PRIVATE
  kernels/rowwise/Activate.cpp
  kernels/rowwise/Copy.cpp
  kernels/rowwise/Embed.cpp
  kernels/rowwise/Glu.cpp
  kernels/rowwise/Lanes.cpp
  kernels/rowwise/LayerNorm.cpp
  kernels/rowwise/MoeReference.cpp
  kernels/rowwise/QuantizeBlock.cpp
  kernels/rowwise/Reference.cpp
  kernels/rowwise/RmsNorm.cpp
  kernels/rowwise/Row.cpp
  kernels/rowwise/Row16.cpp
  kernels/rowwise/Table.cpp
)
