target_sources(llmc_compiler PRIVATE
  WeightFiles.cpp
  WeightProgram.cpp
  WeightRows.cpp
  WeightSink.cpp
)
