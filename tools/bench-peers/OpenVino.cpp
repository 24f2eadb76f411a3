// OpenVINO: the stateful decoder that openvino_model.py writes, one infer request. KEY=VALUE are properties of the CPU
// plugin (DYNAMIC_QUANTIZATION_GROUP_SIZE=128, CACHE_DIR=...).
#include "Engine.h"
#include <algorithm>
#include <openvino/openvino.hpp>

namespace llmc::peers {
namespace {

class OpenVino : public Engine {
public:
  explicit OpenVino(const Config &config) {
    ov::AnyMap properties = {
        {"INFERENCE_NUM_THREADS", config.threads}, {"PERFORMANCE_HINT", "LATENCY"}, {"NUM_STREAMS", 1}};
    for (const auto &[key, value] : config.options) properties[key] = value;
    model = core.compile_model(config.model, "CPU", properties);
    words = model.output(0).get_partial_shape()[2].get_length();
  }

  std::string settings() const override {
    std::string out = "{\"version\": " + jsonString(ov::get_openvino_version().buildNumber);
    for (const char *name : {"INFERENCE_PRECISION_HINT", "KV_CACHE_PRECISION", "DYNAMIC_QUANTIZATION_GROUP_SIZE",
                             "INFERENCE_NUM_THREADS", "LOADED_FROM_CACHE"})
      out += ", " + jsonString(name) + ": " + jsonString(model.get_property(name).as<std::string>());
    return out + "}";
  }

  int64_t vocab() const override { return words; }

  void prepare(int count, int) override {
    if (count == sequences)
      request.reset_state();
    else
      request = model.create_infer_request(); // a state in u8 that changes its batch gives NaN (2026.4)
    sequences = count, length = 0;
  }

  const float *step(const std::vector<int32_t> &tokens, int count) override {
    size_t rows = size_t(sequences), columns = size_t(count);
    ov::Tensor ids(ov::element::i64, {rows, columns}), positions(ov::element::i64, {rows, columns});
    ov::Tensor mask(ov::element::i64, {rows, size_t(length) + columns}), beams(ov::element::i32, {rows});
    std::copy(tokens.begin(), tokens.end(), ids.data<int64_t>());
    std::fill_n(mask.data<int64_t>(), mask.get_size(), 1);
    for (size_t row = 0; row < rows; ++row) {
      beams.data<int32_t>()[row] = int32_t(row);
      for (size_t i = 0; i < columns; ++i) positions.data<int64_t>()[row * columns + i] = length + int64_t(i);
    }
    request.set_tensor("input_ids", ids);
    request.set_tensor("position_ids", positions);
    request.set_tensor("attention_mask", mask);
    request.set_tensor("beam_idx", beams);
    request.infer();
    length += count;
    return request.get_tensor("logits").data<float>() + (rows - 1) * size_t(words);
  }

private:
  ov::Core core;
  ov::CompiledModel model;
  ov::InferRequest request;
  int64_t words = 0, length = 0;
  int sequences = 0;
};

} // namespace

std::unique_ptr<Engine> createEngine(const Config &config) {
  try {
    return std::make_unique<OpenVino>(config);
  } catch (const std::exception &error) { fail(error.what()); }
}

} // namespace llmc::peers
