// A plain graph's run: inputs are checked, memory is the run's whatever happens, outputs are the caller's.
#include "FakeModel.h"
#include "runtime/internal.h"
#include <gtest/gtest.h>
#include <vector>

namespace {

const int64_t kDims[] = {-1, 2};
const char *const kSymbols[] = {"n", ""};
const struct llmc_graph_value kInputs[] = {{"x", LLMC_F32, 2, kDims, kSymbols}, {"on", LLMC_BOOL, 1, kDims, kSymbols}};
const struct llmc_graph_value kOutputs[] = {
    {"y", LLMC_F32, 2, kDims, kSymbols}, {"same", LLMC_F32, 2, kDims, kSymbols}, {"x", LLMC_F32, 2, kDims, kSymbols}};
const struct llmc_graph kGraph = {2, 3, kInputs, kOutputs};

/// What the next run does.
enum class Act { Double, Fail, Negative, Huge, Overflow } act;

void describe(int64_t *out, void *data, int64_t rows) {
  const int64_t fields[] = {int64_t(data), int64_t(data), 0, rows, 2, 2, 1};
  std::copy(std::begin(fields), std::end(fields), out);
}

/// y = 2 x; the same buffer as a second output; the input as a third.
void graph(void *run, const void *, int64_t, const int64_t *in, int64_t *out) {
  auto *x = reinterpret_cast<const float *>(in[1]);
  int64_t rows = in[3];
  void *scratch = llmc_graph_alloc(run, 4, rows, 2, 1, 1, 1, 1, 1, 1);
  if (act == Act::Fail) llmc_graph_fail(run, "node 'n' (Div): division by zero");
  if (act == Act::Negative) llmc_graph_alloc(run, 4, rows, -3, 1, 1, 1, 1, 1, 1);
  if (act == Act::Huge) llmc_graph_alloc(run, 4, int64_t(1) << 45, 2, 1, 1, 1, 1, 1, 1);
  if (act == Act::Overflow) llmc_graph_alloc(run, 4, INT64_MAX, INT64_MAX, 1, 1, 1, 1, 1, 1);
  EXPECT_NE(llmc_graph_alloc(run, 4, INT64_MAX, INT64_MAX, 0, 1, 1, 1, 1, 1), nullptr); // no elements at all
  auto *y = static_cast<float *>(llmc_graph_alloc(run, 4, rows, 2, 1, 1, 1, 1, 1, 1));
  EXPECT_EQ(uintptr_t(y) % 64, 0u);
  for (int64_t i = 0; i < rows * 2; ++i) y[i] = 2 * x[i];
  llmc_graph_free(run, scratch);
  describe(out, y, rows);
  describe(out + 7, y, rows);
  describe(out + 14, const_cast<float *>(x), rows);
}

class Graph : public testing::Test {
protected:
  void SetUp() override {
    constants.graph = &kGraph;
    variant.graph = graph;
    constants.variants = &variant;
    constants.variant_count = 1;
    llmc_open_options options = {
        .abi_version = LLMC_ABI_VERSION, .weights = &weights, .weights_size = kFakeWeightBytes};
    ASSERT_EQ(llmc_open(&model, &options, &error), LLMC_OK) << error.message;
    act = Act::Double;
  }
  void TearDown() override {
    llmc_close(model);
    constants = before;
  }
  int run() { return llmc_graph_run(model, inputs, 2, &result, &error); }

  struct llmc_model_constants &constants =
      const_cast<struct llmc_model_constants &>(::llmc_model_constants); // fake_model.c defines it writable
  const struct llmc_model_constants before = constants;
  struct llmc_variant variant = {"plain", 0, "none", nullptr, nullptr, 0, 0, 0, 0, 0, 0, 0};
  alignas(64) char weights[kFakeWeightBytes] = {};
  llmc_model *model = nullptr;
  llmc_graph_result *result = nullptr;
  llmc_error error = {};
  float x[4] = {1, 2, 3, 4};
  unsigned char on[3] = {0, 1, 1};
  llmc_tensor inputs[2] = {{LLMC_F32, 2, {2, 2}, x}, {LLMC_BOOL, 1, {3}, on}};
};

TEST_F(Graph, tellsWhatItTakesAndGives) {
  llmc_value_info info;
  EXPECT_EQ(llmc_graph_inputs(model), 2);
  EXPECT_EQ(llmc_graph_outputs(model), 3);
  ASSERT_EQ(llmc_graph_input(model, 0, &info, &error), LLMC_OK);
  EXPECT_STREQ(info.name, "x");
  EXPECT_EQ(info.dims[0], -1);
  EXPECT_EQ(info.dims[1], 2);
  EXPECT_STREQ(info.symbols[0], "n");
  EXPECT_EQ(llmc_graph_output(model, 3, &info, &error), LLMC_ERROR_ARGUMENT);
  EXPECT_STREQ(error.message, "index: found 3, expected 0 to 2");
  EXPECT_STREQ(llmc_element_name(LLMC_BF16), "bf16");
  EXPECT_EQ(llmc_element_name(8), nullptr);
  EXPECT_EQ(llmc_element_bytes(LLMC_I4), 1);
}

TEST_F(Graph, outputsAreTheCallers) {
  ASSERT_EQ(run(), LLMC_OK) << error.message;
  std::vector<const float *> data;
  for (int i = 0; i < 3; ++i) {
    const llmc_tensor *y = llmc_graph_result_output(result, i);
    ASSERT_NE(y, nullptr);
    EXPECT_EQ(y->dims[0], 2);
    data.push_back(static_cast<const float *>(y->data));
  }
  EXPECT_EQ(llmc_graph_result_output(result, 3), nullptr);
  for (int i = 0; i < 4; ++i) x[i] = -1; // nothing refers to the input
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(data[0][i], 2.0f * float(i + 1));
    EXPECT_EQ(data[1][i], 2.0f * float(i + 1));
    EXPECT_EQ(data[2][i], float(i + 1));
  }
  EXPECT_NE(data[0], data[1]);
  llmc_graph_result_free(result);
}

TEST_F(Graph, endsWithAnError) {
  const struct {
    Act act;
    int code;
    const char *message;
  } cases[] = {{Act::Fail, LLMC_ERROR_ARGUMENT, "node 'n' (Div): division by zero"},
               {Act::Negative, LLMC_ERROR_ARGUMENT, "found a tensor with a dim of -3, expected 0 or more"},
               {Act::Huge, LLMC_ERROR_NO_MEMORY, "found no memory for a tensor of 281474976710656 bytes"},
               {Act::Overflow, LLMC_ERROR_NO_MEMORY, "found no memory for a tensor of 9223372036854775807 bytes"}};
  for (const auto &c : cases) {
    act = c.act;
    EXPECT_EQ(run(), c.code);
    EXPECT_NE(std::string(error.message).find(c.message), std::string::npos) << error.message;
    EXPECT_EQ(result, nullptr);
  }
}

TEST_F(Graph, inputsAreChecked) {
  auto fails = [&](const char *message) {
    EXPECT_EQ(run(), LLMC_ERROR_ARGUMENT);
    EXPECT_STREQ(error.message, message);
  };
  inputs[0].dims[1] = 3;
  fails("input 'x': found f32 [2, 3], expected f32 [n, 2]");
  inputs[0] = {LLMC_F16, 2, {2, 2}, x};
  fails("input 'x': found f16 [2, 2], expected f32 [n, 2]");
  inputs[0] = {LLMC_F32, 1, {2}, x};
  fails("input 'x': found f32 [2], expected f32 [n, 2]");
  inputs[0] = {LLMC_F32, 2, {-1, 2}, x};
  fails("input 'x': found f32 [?, 2], expected f32 [n, 2]");
  inputs[0] = {LLMC_F32, 2, {2, 2}, nullptr};
  fails("input 'x': found null data");
  inputs[0] = {LLMC_F32, 2, {2, 2}, x};
  on[2] = 7;
  fails("input 'on': found a bool of 7, expected 0 or 1");
  on[2] = 1;
  EXPECT_EQ(llmc_graph_run(model, inputs, 1, &result, &error), LLMC_ERROR_ARGUMENT);
  EXPECT_STREQ(error.message, "inputs: found 1, expected 2");
}

TEST_F(Graph, isNoDecoder) {
  llmc_context *context;
  EXPECT_EQ(llmc_context_create(&context, model, nullptr, &error), LLMC_ERROR_ARGUMENT);
  EXPECT_STREQ(error.message, "model: found a plain graph, expected a decoder; use llmc_graph_run");
  constants.graph = nullptr;
  EXPECT_EQ(run(), LLMC_ERROR_ARGUMENT);
  EXPECT_STREQ(error.message, "model: found a decoder, expected a plain graph; use llmc_context_create");
  EXPECT_EQ(llmc_graph_inputs(model), -1);
}

} // namespace
