target_sources(llmc_codegen PRIVATE
  portable/Attention.cpp
  portable/Cache.cpp
  portable/Compile.cpp
  portable/Embed.cpp
  portable/Executable.cpp
  portable/KernelBuilder.cpp
  portable/KvAppend.cpp
  portable/LlvmTarget.cpp
  portable/Lower.cpp
  portable/Matmul.cpp
  portable/MatmulEpilogue.cpp
  portable/Moe.cpp
  portable/Numeric.cpp
  portable/RopeTable.cpp
  portable/Rotation.cpp
  portable/RowQ8.cpp
  portable/Rowwise.cpp
  portable/Scan.cpp
  portable/Weight.cpp
)
target_link_libraries(llmc_codegen PUBLIC MLIR)
