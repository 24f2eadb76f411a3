target_sources(llmc_codegen PRIVATE
  kernels/attention/AttentionEmitter.cpp
  kernels/attention/Chunks.cpp
  kernels/attention/Convert.cpp
  kernels/attention/KvAppend.cpp
  kernels/attention/KvWriter.cpp
  kernels/attention/Panel.cpp
  kernels/attention/Queries.cpp
  kernels/attention/Reference.cpp
  kernels/attention/Rotation.cpp
  kernels/attention/Runs.cpp
  kernels/attention/Share.cpp
  kernels/attention/Softmax.cpp
  kernels/attention/Table.cpp
  kernels/attention/Values.cpp
  kernels/attention/Weights.cpp
)
