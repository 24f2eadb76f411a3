// Import and all raising passes on the graphs of real exporters: the form, and the values.
#include "passes/raise/Raise.h"
#include "OnnxGolden.h"
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Import.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include <gtest/gtest.h>
#include <map>

using namespace llmc;

static const std::string kFixtures = std::string(LLMC_TEST_DATA) + "/onnx";

struct Fixture {
  const char *name;
  double bound;                  // of logits, absolute: 1e-4, or 2e-2 where ONNX Runtime rounds to f16
  const char *refusal = nullptr; // part of the message
};
void PrintTo(const Fixture &fixture, std::ostream *out) { *out << fixture.name; }

using test::raiseModule;

static std::map<std::string, unsigned> histogram(mlir::ModuleOp module) {
  std::map<std::string, unsigned> ops;
  module.walk([&](mlir::Operation *op) { ++ops[op->getName().getStringRef().str()]; });
  return ops;
}

class RaisedFixture : public testing::TestWithParam<Fixture> {};

TEST_P(RaisedFixture, HasTheFormOfADecoder) {
  std::string folder = kFixtures + "/" + GetParam().name;
  mlir::MLIRContext context;
  llvm::Expected<ImportedModel> model = importOnnx(folder + "/model.onnx", context);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  std::string reason = raiseModule(*model);
  if (GetParam().refusal) {
    EXPECT_NE(reason.find(GetParam().refusal), std::string::npos) << reason;
    return;
  }
  ASSERT_EQ(reason, "");
  EXPECT_TRUE(mlir::succeeded(mlir::verify(*model->module)));
  // Two layers of norm, 3 linears, 2 ropes, attention, linear, add, norm, 2 linears, gated product, linear, add.
  std::map<std::string, unsigned> expected = {
      {"builtin.module", 1}, {"func.func", 1},       {"func.return", 1},     {"llm.add", 4},     {"llm.attention", 2},
      {"llm.embed", 1},      {"llm.gated_mul", 2},   {"llm.get_weight", 21}, {"llm.linear", 15}, {"llm.rms_norm", 5},
      {"llm.rope", 4},       {"llm.select_rows", 1}, {"llm.weight", 21}};
  EXPECT_EQ(histogram(*model->module), expected);
  auto number = [&](llvm::StringRef name) {
    auto attr = (*model->module)->getAttrOfType<mlir::IntegerAttr>(name);
    return attr ? attr.getInt() : -1;
  };
  EXPECT_EQ(number(llm::kLayers), 2);
  EXPECT_EQ(number(llm::kMaxContext), 128);
  EXPECT_GT(number(llm::kVocab), 0);
  EXPECT_GT(number(llm::kHidden), 0);
  test::expectOnnxGolden(*model, folder, GetParam().bound);
}

static const Fixture kAll[] = {
    {"genai-llama-fp32", 1e-4},
    {"genai-llama-fp32-unfused-qkv", 1e-4},
    {"genai-llama-fp16", 2e-2},
    {"genai-llama-fp16-dml", 2e-2},
    {"genai-llama-int4-b32-sym", 1e-4},
    {"genai-llama-int4-b32-sym-acc1", 1e-4},
    {"genai-llama-int4-b32-sym-acc2", 1e-4},
    {"genai-llama-int4-b32-asym-acc1", 1e-4},
    {"genai-llama-int4-b32-asym-acc4", 1e-4},
    {"genai-llama-int4-cuda-fp16", 2e-2},
    {"genai-llama-int4-gather", 1e-4},
    {"genai-llama-int4-kquant", 1e-4},
    {"genai-llama-int4-mixed8", 1e-4},
    {"genai-llama-int4-prune", 1e-4},
    {"genai-llama-int4-qdq", 1e-4},
    {"genai-llama-int4-qdq-asym", 1e-4},
    {"genai-llama-int4-rtn", 1e-4},
    {"genai-llama-int4-webgpu", 2e-2},
    {"genai-llama-int8-b32", 1e-4},
    {"genai-llama_wide-int4-b128-asym", 1e-4},
    {"genai-llama_wide-int4-b128-sym", 1e-4},
    {"genai-mistral-int4-b32-sym", 1e-4},
    {"genai-phi3-fp32", 1e-4},
    {"genai-llama-fp32-embeds", 0, "input_ids"},
};
INSTANTIATE_TEST_SUITE_P(All, RaisedFixture, testing::ValuesIn(kAll), [](const auto &info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

/// Other families, of the model builder: the ops that a person would draw.
struct Family {
  const char *name;
  std::map<std::string, unsigned> ops;
};
void PrintTo(const Family &family, std::ostream *out) { *out << family.name; }

class RaisedFamily : public testing::TestWithParam<Family> {};

TEST_P(RaisedFamily, HasItsOps) {
  std::string folder = kFixtures + "/" + GetParam().name;
  mlir::MLIRContext context;
  llvm::Expected<ImportedModel> model = importOnnx(folder + "/model.onnx", context);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  ASSERT_EQ(raiseModule(*model), "");
  EXPECT_TRUE(mlir::succeeded(mlir::verify(*model->module)));
  std::map<std::string, unsigned> found;
  for (auto &[name, count] : histogram(*model->module))
    if (llvm::StringRef(name).starts_with("llm.") && name != "llm.weight" && name != "llm.get_weight")
      found[name] = count;
  EXPECT_EQ(found, GetParam().ops);
  test::expectOnnxGolden(*model, folder, 1e-4);
}

static const std::map<std::string, unsigned> kGemma2 = {{"llm.embed", 1}, {"llm.rms_norm", 9},  {"llm.linear", 15},
                                                        {"llm.rope", 4},  {"llm.attention", 2}, {"llm.gated_mul", 2},
                                                        {"llm.add", 4},   {"llm.scale", 1},     {"llm.select_rows", 1}};
INSTANTIATE_TEST_SUITE_P(
    All, RaisedFamily,
    testing::Values(Family{"genai-gemma2-fp32-fullcache", kGemma2}, // a window as a mask
                    Family{"genai-gemma2-int4-b32-sym", kGemma2},   // a cache of the window's positions
                    Family{"genai-gemma3-int4-b32-sym",
                           {{"llm.embed", 1},
                            {"llm.rms_norm", 13},
                            {"llm.head_norm", 6},
                            {"llm.linear", 22},
                            {"llm.rope", 6},
                            {"llm.attention", 3},
                            {"llm.gated_mul", 3},
                            {"llm.add", 6},
                            {"llm.select_rows", 1}}},
                    Family{"genai-phi-int4-b32-sym",
                           {{"llm.embed", 1},
                            {"llm.layer_norm", 3},
                            {"llm.linear", 13},
                            {"llm.rope", 4},
                            {"llm.attention", 2},
                            {"llm.activate", 2},
                            {"llm.add", 4},
                            {"llm.select_rows", 1}}},
                    Family{"genai-phi3_long-int4-b32-sym", // the prompt is longer than the original context
                           {{"llm.embed", 1},
                            {"llm.rms_norm", 5},
                            {"llm.linear", 15},
                            {"llm.rope", 4},
                            {"llm.attention", 2},
                            {"llm.gated_mul", 2},
                            {"llm.add", 4},
                            {"llm.select_rows", 1}}},
                    Family{"genai-qwen3-int4-b32-sym",
                           {{"llm.embed", 1},
                            {"llm.rms_norm", 5},
                            {"llm.head_norm", 4},
                            {"llm.linear", 15},
                            {"llm.rope", 4},
                            {"llm.attention", 2},
                            {"llm.gated_mul", 2},
                            {"llm.add", 4},
                            {"llm.select_rows", 1}}}),
    [](const auto &info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

/// One table for the embedding and the head.
TEST(RaisePipeline, TiedEmbeddings) {
  for (const char *name : {"genai-qwen2-fp32", "genai-qwen2-int4-shared"}) {
    SCOPED_TRACE(name);
    mlir::MLIRContext context;
    std::string folder = kFixtures + "/" + name;
    llvm::Expected<ImportedModel> model = importOnnx(folder + "/model.onnx", context);
    ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
    ASSERT_EQ(raiseModule(*model), "");
    unsigned heads = 0;
    model->module->walk([&](llm::GetWeightOp op) { heads += op.getWeight() == "lm_head.weight"; });
    EXPECT_EQ(heads, 2u);
    test::expectOnnxGolden(*model, folder, 1e-4);
  }
}

/// Modules of other frontends go through the pipeline too.
TEST(RaisePipeline, LeavesFinishedModulesAlone) {
  mlir::MLIRContext context;
  llvm::Expected<ImportedModel> model = importOnnx(kFixtures + "/genai-llama-fp32/model.onnx", context);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  ASSERT_EQ(raiseModule(*model), "");
  std::string before, after;
  llvm::raw_string_ostream(before) << *model->module;
  ASSERT_EQ(raiseModule(*model), "");
  llvm::raw_string_ostream(after) << *model->module;
  EXPECT_EQ(before, after);
}
