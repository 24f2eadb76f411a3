target_sources(llmc_dialects PRIVATE
  wq/codecs/Awq.cpp
  wq/codecs/Codecs.cpp
  wq/codecs/CompressedTensors.cpp
  wq/codecs/Float.cpp
  wq/codecs/Gather.cpp
  wq/codecs/Gptq.cpp
  wq/codecs/MatMulNBits.cpp
  wq/codecs/Nf4.cpp
  wq/codecs/OnnxBlocks.cpp
  wq/codecs/Q4_0.cpp
  wq/codecs/Q4_1.cpp
  wq/codecs/Q4_K.cpp
  wq/codecs/Q5_0.cpp
  wq/codecs/Q5_1.cpp
  wq/codecs/Q5_K.cpp
  wq/codecs/Q6_K.cpp
  wq/codecs/Q8_0.cpp
  wq/codecs/Quantise.cpp
)
# q * d + m is two roundings, as in ggml, also where the CPU has a fused multiply-add. (Other options, hence no shared
# precompiled header.)
set_source_files_properties(wq/codecs/Codecs.cpp wq/codecs/Nf4.cpp wq/codecs/Q4_1.cpp wq/codecs/Q4_K.cpp wq/codecs/Q5_1.cpp
  wq/codecs/Q5_K.cpp wq/codecs/Quantise.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off SKIP_PRECOMPILE_HEADERS ON)
