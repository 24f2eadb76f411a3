target_sources(llmc_codegen PRIVATE
  kernels/matmul/Epilogue.cpp
  kernels/matmul/Float.cpp
  kernels/matmul/FloatRows16.cpp
  kernels/matmul/IntF32.cpp
  kernels/matmul/IntQ8Avx2.cpp
  kernels/matmul/IntQ8Avx512.cpp
  kernels/matmul/IntRows16.cpp
  kernels/matmul/Loops.cpp
  kernels/matmul/Pack.cpp
  kernels/matmul/Q8Loops.cpp
  kernels/matmul/Quantize.cpp
  kernels/matmul/Reference.cpp
  kernels/matmul/Requantise.cpp
  kernels/matmul/Rows16.cpp
  kernels/matmul/Table.cpp
)
