// Finds the inverse frequencies behind tables of cosines and sines, and proves it by computing the tables again.
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Graph.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/STLExtras.h"
#include <cmath>
#include <cstring>

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

constexpr int64_t kMostRows = int64_t(1) << 22, kMostColumns = 1 << 13; // of a table: 2^22 positions
constexpr int64_t kMostTableElements = int64_t(1) << 26;                // 2^20 positions of heads of 128

struct Table {
  int64_t rows = 0, columns = 0;
  std::vector<float> cos, sin;
  float precision = 0; // absolute error of one element by its storage type, with a margin
};

/// Widens f32, f16 or bf16 elements.
std::vector<float> widen(StringRef bytes, Type type) {
  std::vector<float> out;
  if (type.isF32()) {
    out.resize(bytes.size() / 4);
    memcpy(out.data(), bytes.data(), out.size() * 4);
    return out;
  }
  const llvm::fltSemantics &semantics = cast<FloatType>(type).getFloatSemantics();
  out.reserve(bytes.size() / 2);
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    uint16_t bits = uint8_t(bytes[i]) | uint16_t(uint8_t(bytes[i + 1])) << 8;
    llvm::APFloat value(semantics, llvm::APInt(16, bits));
    bool lost;
    value.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &lost);
    out.push_back(value.convertToFloat());
  }
  return out;
}

/// Whether every element is scale * cos or sin of the f32 product position * frequency. One unit in the last place of a
/// frequency, which differs between implementations of pow, moves an angle by that unit times the position.
bool verifies(const Table &t, ArrayRef<float> frequencies, float scale) {
  for (int64_t p = 0; p < t.rows; ++p)
    for (int64_t i = 0; i < t.columns; ++i) {
      float angle = float(p) * frequencies[i];
      float tolerance = t.precision + std::abs(angle) * 2.4e-7f;
      float cos = scale * std::cos(angle), sin = scale * std::sin(angle);
      int64_t at = p * t.columns + i;
      // Written so that NaN does not verify.
      if (!(std::abs(cos - t.cos[at]) <= tolerance * scale && std::abs(sin - t.sin[at]) <= tolerance * scale))
        return false;
    }
  return true;
}

/// Frequencies by the angles of rows 1, 2, 4, ...: each row doubles the precision that the one before allows.
std::vector<float> measure(const Table &t) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < t.columns; ++i) {
    double f = std::atan2(double(t.sin[t.columns + i]), double(t.cos[t.columns + i]));
    for (int64_t p = 2; p < t.rows; p *= 2) {
      double angle = std::atan2(double(t.sin[p * t.columns + i]), double(t.cos[p * t.columns + i]));
      f += std::remainder(angle - double(p) * f, 2 * M_PI) / double(p);
    }
    frequencies.push_back(float(f));
  }
  return frequencies;
}

/// theta of the default formula f_i = theta^(-2i/dim), if measured frequencies have that form: usually a whole number.
std::optional<std::vector<float>> byFormula(const Table &t, ArrayRef<float> measured) {
  if (t.columns < 2 || !(measured.back() > 0)) return std::nullopt;
  double theta = std::pow(double(measured.back()), -double(t.columns) / double(t.columns - 1));
  if (!std::isfinite(theta) || theta < 1) return std::nullopt;
  // Frequencies are known to few digits if the table is short or f16: try numbers of few digits first.
  for (double digits : {1e1, 1e2, 1e3, 1e4, 1e6}) {
    double unit = std::pow(10.0, std::floor(std::log10(theta))) / digits;
    llm::RopeConfig config;
    config.dim = 2 * t.columns;
    config.theta = std::round(theta / unit) * unit;
    llvm::Expected<llm::RopeTable> table = llm::computeRope(config);
    if (!table) {
      llvm::consumeError(table.takeError());
      return std::nullopt;
    }
    if (verifies(t, table->invFreq, t.cos[0])) return table->invFreq;
  }
  return std::nullopt;
}

llvm::Expected<std::vector<float>> load(llm::OnnxTensorOp op, const TensorReader &tensors) {
  llm::StorageAttr storage = op.getStorage();
  llvm::Expected<StringRef> bytes =
      tensors.load({storage.getFile(), storage.getOffset(), storage.getBytes()}, op.getName());
  if (!bytes) return bytes.takeError();
  return widen(*bytes, op.getType().getElementType());
}

/// The rope of a pair of tables, or the reason why there is none.
llvm::Expected<llm::RopeAttr> recover(llm::OnnxTensorOp cos, llm::OnnxTensorOp sin, const TensorReader &tensors,
                                      std::string &reason) {
  auto type = cast<RankedTensorType>(cos.getType());
  Type element = type.getElementType();
  if (type != sin.getType() || type.getRank() != 2 || !(element.isF32() || element.isF16() || element.isBF16())) {
    reason = "cos_cache and sin_cache are not of one type [positions, rotated channels / 2] of F32, F16 or BF16";
    return llm::RopeAttr();
  }
  Table t;
  t.rows = type.getDimSize(0), t.columns = type.getDimSize(1);
  if (t.rows < 2 || t.columns < 1 || t.rows > kMostRows || t.columns > kMostColumns ||
      t.rows * t.columns > kMostTableElements) {
    reason = "a cos_cache of " + std::to_string(t.rows) + " by " + std::to_string(t.columns);
    return llm::RopeAttr();
  }
  t.precision = element.isF32() ? 1e-5f : element.isF16() ? 1e-3f : 8e-3f;
  llvm::Expected<std::vector<float>> cosValues = load(cos, tensors);
  if (!cosValues) return cosValues.takeError();
  llvm::Expected<std::vector<float>> sinValues = load(sin, tensors);
  if (!sinValues) return sinValues.takeError();
  t.cos = std::move(*cosValues), t.sin = std::move(*sinValues);
  float scale = t.cos[0]; // cos(0) * scale
  if (!std::isfinite(scale) || scale <= 0) {
    reason = "cos_cache begins with " + std::to_string(scale) + ", expected a positive scale";
    return llm::RopeAttr();
  }
  std::vector<float> frequencies = measure(t);
  bool sane = llvm::all_of(frequencies, [](float f) { return std::isfinite(f) && f >= 0; });
  if (std::optional<std::vector<float>> formula = sane ? byFormula(t, frequencies) : std::nullopt)
    frequencies = std::move(*formula);
  else if (!sane || !verifies(t, frequencies, scale)) {
    reason = "cos_cache and sin_cache are not cosines and sines of position * frequency";
    return llm::RopeAttr();
  }
  SmallVector<F32> values(frequencies.begin(), frequencies.end());
  return llm::RopeAttr::get(cos.getContext(), 2 * t.columns, llm::RopeStyle::Half, values, scale, 0, 0.0f, 1.0f);
}

/// The table behind a value, through casts between float types.
llm::OnnxTensorOp tableOf(Value value) {
  for (;;) {
    if (auto tensor = value.getDefiningOp<llm::OnnxTensorOp>()) return tensor;
    auto cast = value.getDefiningOp<llm::OnnxNodeOp>();
    if (!cast || cast.getOpType() != "Cast") return {};
    value = cast.getInputs()[0];
  }
}

/// Pairs of values that are tables of cosines and sines: of an If (LongRoPE) what each of its bodies yields.
SmallVector<std::pair<Value, Value>> tablePairs(Value cos, Value sin) {
  auto choice = cos.getDefiningOp<llm::OnnxNodeOp>();
  if (!choice || choice.getOpType() != "If" || sin.getDefiningOp() != choice) return {{cos, sin}};
  SmallVector<std::pair<Value, Value>> pairs;
  for (Region &body : choice.getBodies()) {
    auto yielded = cast<llm::OnnxYieldOp>(body.front().back()).getValues();
    pairs.push_back({yielded[cast<OpResult>(cos).getResultNumber()], yielded[cast<OpResult>(sin).getResultNumber()]});
  }
  return pairs;
}

llvm::Error recoverPair(Value cosValue, Value sinValue, const TensorReader &tensors) {
  llm::OnnxTensorOp cos = tableOf(cosValue), sin = tableOf(sinValue);
  if (!cos || !sin || cos.getRope() || cos.getNoRope()) return llvm::Error::success();
  std::string reason;
  llvm::Expected<llm::RopeAttr> rope = recover(cos, sin, tensors, reason);
  if (!rope) return rope.takeError();
  if (!*rope) {
    cos.setNoRope(reason);
    return llvm::Error::success();
  }
  cos.setRopeAttr(*rope), sin.setRopeAttr(*rope);
  cos.setIsCos(true);
  return llvm::Error::success();
}

} // namespace

llvm::Error recoverRopes(ModuleOp module, const TensorReader &tensors) {
  llvm::Error result = llvm::Error::success();
  module.walk([&](llm::OnnxNodeOp node) {
    bool gqa = node.getOpType() == "GroupQueryAttention", rotary = node.getOpType() == "RotaryEmbedding";
    unsigned at = gqa ? 7 : 2;
    if (node.getDomain() != "com.microsoft" || !(gqa || rotary) || node.getInputs().size() < at + 2)
      return WalkResult::advance();
    for (auto [cos, sin] : tablePairs(node.getInputs()[at], node.getInputs()[at + 1]))
      if (llvm::Error error = recoverPair(cos, sin, tensors)) {
        result = llvm::joinErrors(std::move(result), std::move(error));
        return WalkResult::interrupt();
      }
    return WalkResult::advance();
  });
  return result;
}

} // namespace llmc::onnx
