#include "OnnxGolden.h"
#include "dialects/llm/Eval.h"
#include "frontends/hf/Checkpoint.h"
#include "mlir/IR/Diagnostics.h"
#include "passes/raise/Raise.h"
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace llmc::test {
namespace {

template <typename Stored, typename T> std::vector<T> values(const hf::Checkpoint &golden, llvm::StringRef name) {
  hf::Checkpoint::Place place = golden.find(name);
  EXPECT_TRUE(place.tensor) << name.str();
  if (!place.tensor) return {};
  llvm::StringRef bytes = golden.bytes(place);
  std::vector<T> result;
  for (size_t i = 0; i < bytes.size(); i += sizeof(Stored)) {
    Stored value;
    memcpy(&value, bytes.data() + i, sizeof value);
    result.push_back(T(value));
  }
  return result;
}

double largestDifference(llvm::ArrayRef<float> a, llvm::ArrayRef<float> b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (double difference = std::abs(double(a[i]) - double(b[i])); !(difference <= most)) most = difference;
  return std::isnan(most) ? INFINITY : most;
}
} // namespace

std::string raiseModule(ImportedModel &model) {
  std::string reason;
  mlir::ScopedDiagnosticHandler handler(model.module->getContext(), [&](mlir::Diagnostic &diagnostic) {
    if (reason.empty() && diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error) reason = diagnostic.str();
    return mlir::success();
  });
  mlir::PassManager passes(model.module->getContext());
  buildRaisePipeline(passes);
  if (mlir::failed(passes.run(*model.module)) && reason.empty()) reason = "failed without a reason";
  return reason;
}

void expectOnnxGolden(const ImportedModel &model, llvm::StringRef folder, double bound) {
  auto golden = hf::Checkpoint::fromFile(llvm::cantFail(llmc::InputFile::open((folder + "/golden.safetensors").str())));
  ASSERT_TRUE(bool(golden)) << llvm::toString(golden.takeError());
  auto prompt = values<int64_t, int32_t>(*golden, "prompt"),
       greedy = values<int64_t, int32_t>(*golden, "decode_tokens");
  auto prefill = values<float, float>(*golden, "prefill_logits"),
       decode = values<float, float>(*golden, "decode_logits");
  size_t vocab = decode.size() / greedy.size();

  std::vector<llmc::InputFile> mapped;
  std::vector<llm::InputFile> views;
  for (const std::string &path : model.files) {
    mapped.push_back(llvm::cantFail(llmc::InputFile::open(path)));
    views.push_back({path, {mapped.back().bytes().bytes_begin(), mapped.back().size()}});
  }
  llm::Evaluator evaluator(*model.module, views);
  std::vector<int32_t> positions(prompt.size());
  std::iota(positions.begin(), positions.end(), 0);
  // A pruned head gives the last row only.
  std::vector<int32_t> rows = prefill.size() == vocab ? std::vector<int32_t>{int32_t(prompt.size()) - 1} : positions;
  auto logits = evaluator.step(prompt, positions, rows);
  ASSERT_TRUE(bool(logits)) << llvm::toString(logits.takeError());
  double most = largestDifference(*logits, prefill);
  for (size_t i = 0; i < greedy.size(); ++i) {
    auto next = evaluator.step({greedy[i]}, {int32_t(prompt.size() + i)}, {0});
    ASSERT_TRUE(bool(next)) << llvm::toString(next.takeError());
    most = std::max(most, largestDifference(*next, llvm::ArrayRef(decode).slice(i * vocab, vocab)));
  }
  EXPECT_LE(most, bound);
  testing::Test::RecordProperty("largest_difference", std::to_string(most)); // in --gtest_output
}

} // namespace llmc::test
