target_sources(llmc_dialects PRIVATE
  llm/Eval.cpp
  llm/eval/Attention.cpp
  llm/eval/Moe.cpp
  llm/eval/Rope.cpp
  llm/eval/RowFormats.cpp
  llm/eval/Rows.cpp
  llm/eval/WeightView.cpp
  llm/eval/Weights.cpp
)
