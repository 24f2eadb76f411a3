target_sources(llmc_codegen PRIVATE
  kernels/attention/AttentionEmitter.cpp
  kernels/attention/KvAppend.cpp
  kernels/attention/Reference.cpp
  kernels/attention/Scores.cpp
  kernels/attention/Softmax.cpp
  kernels/attention/Table.cpp
  kernels/attention/Values.cpp
)
