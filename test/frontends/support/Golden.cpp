#include "Golden.h"
#include "dialects/llm/Eval.h"
#include "frontends/hf/Checkpoint.h"
#include "frontends/hf/Json.h"
#include "llvm/Support/Endian.h"
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace llmc::test {
namespace {

/// A tensor of a golden file; its elements are 4 bytes each.
template <typename T> std::vector<T> values(const hf::Checkpoint &golden, llvm::StringRef name) {
  hf::Checkpoint::Place place = golden.find(name);
  EXPECT_TRUE(place.tensor) << name.str();
  std::vector<T> result;
  if (!place.tensor) return result;
  llvm::StringRef bytes = golden.bytes(place);
  for (size_t i = 0; i < bytes.size(); i += 4)
    result.push_back(llvm::bit_cast<T>(llvm::support::endian::read32le(bytes.data() + i)));
  return result;
}

double largestDifference(llvm::ArrayRef<float> a, llvm::ArrayRef<float> b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    double difference = std::abs(double(a[i]) - double(b[i]));
    if (!(difference <= most)) most = difference; // NaN too
  }
  return most;
}

std::vector<int32_t> range(size_t begin, size_t count) {
  std::vector<int32_t> result(count);
  std::iota(result.begin(), result.end(), int32_t(begin));
  return result;
}

struct Files {
  std::vector<llmc::InputFile> mapped;
  std::vector<llm::InputFile> views;
};

Files openFiles(const ImportedModel &model) {
  Files files;
  for (const std::string &path : model.files) {
    files.mapped.push_back(llvm::cantFail(llmc::InputFile::open(path)));
    llvm::StringRef bytes = files.mapped.back().bytes();
    files.views.push_back({path, {bytes.bytes_begin(), bytes.size()}});
  }
  return files;
}
} // namespace

void expectGolden(const ImportedModel &model, llvm::StringRef folder) {
  auto golden = hf::Checkpoint::fromFile(llvm::cantFail(llmc::InputFile::open((folder + "/golden.safetensors").str())));
  ASSERT_TRUE(bool(golden)) << llvm::toString(golden.takeError());
  auto facts = llvm::cantFail(hf::readJson((folder + "/golden.json").str()));
  hf::Fields fields("golden.json", facts);
  double bound = fields.positive("suggested_max_abs_diff");
  ASSERT_FALSE(bool(fields.takeError()));

  auto prompt = values<int32_t>(*golden, "input_ids"), greedy = values<int32_t>(*golden, "greedy_ids");
  auto steps = values<float>(*golden, "step_logits");
  Files files = openFiles(model);
  llm::Evaluator evaluator(*model.module, files.views);
  auto rows = range(0, prompt.size());
  auto logits = evaluator.step(prompt, rows, rows);
  ASSERT_TRUE(bool(logits)) << llvm::toString(logits.takeError());
  EXPECT_LE(largestDifference(*logits, values<float>(*golden, "prefill_logits")), bound);
  size_t vocab = logits->size() / prompt.size();
  for (size_t i = 0; i + 1 < greedy.size(); ++i) {
    auto next = evaluator.step({greedy[i]}, {int32_t(prompt.size() + i)}, {0});
    ASSERT_TRUE(bool(next)) << llvm::toString(next.takeError());
    llvm::ArrayRef<float> expected = llvm::ArrayRef(steps).slice((i + 1) * vocab, vocab);
    EXPECT_LE(largestDifference(*next, expected), bound) << "step " << i + 1;
  }
}

} // namespace llmc::test
