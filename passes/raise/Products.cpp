#include "passes/raise/Products.h"
#include <cmath>

using namespace mlir;

namespace llmc::raise {
namespace {

constexpr size_t kMostFactors = 8; // of a product that is anything known

void multiply(Product &product, Value value, unsigned depth) {
  value = beforeCasts(value);
  if (std::optional<double> number = scalar(value)) {
    product.number *= *number;
    return;
  }
  auto node = value.getDefiningOp<llm::OnnxNodeOp>();
  bool isMul = isNode(node, "Mul"), isDiv = isNode(node, "Div"), isNeg = isNode(node, "Neg");
  std::optional<double> exponent = isNode(node, "Pow") ? scalar(beforeCasts(node.getInputs()[1])) : std::nullopt;
  std::optional<double> divisor = isDiv ? scalar(beforeCasts(node.getInputs()[1])) : std::nullopt;
  if (depth && product.factors.size() < kMostFactors) {
    if (isMul) {
      for (Value input : node.getInputs()) multiply(product, input, depth - 1);
      return;
    }
    if ((divisor && *divisor != 0) || isNeg) {
      product.number *= isNeg ? -1 : 1 / *divisor;
      return multiply(product, node.getInputs()[0], depth - 1);
    }
    if (exponent == 2.0 || exponent == 3.0) {
      for (int i = 0; i < *exponent; ++i) multiply(product, node.getInputs()[0], depth - 1);
      return;
    }
  }
  product.factors.push_back(value);
}

/// The operand of the only factor that is this operator, and the product without it.
struct Found {
  Value operand;
  Product rest;
};
std::optional<Found> without(const Product &product, StringRef opType) {
  for (auto [i, factor] : llvm::enumerate(product.factors))
    if (llm::OnnxNodeOp node = nodeOf(factor, opType)) {
      Found found = {node.getInputs()[0], product};
      found.rest.factors.erase(found.rest.factors.begin() + i);
      return found;
    }
  return std::nullopt;
}

/// v of the only factor that is 1 + v, of the operator.
std::optional<Found> withoutOnePlus(const Product &product, StringRef opType) {
  for (auto [i, factor] : llvm::enumerate(product.factors)) {
    auto sum = withNumber(nodeOf(factor, "Add"));
    llm::OnnxNodeOp node = sum && sum->second == 1.0 ? nodeOf(beforeCasts(sum->first), opType) : llm::OnnxNodeOp();
    if (!node) continue;
    Found found = {node.getInputs()[0], product};
    found.rest.factors.erase(found.rest.factors.begin() + i);
    return found;
  }
  return std::nullopt;
}

/// Whether a product is number * x^power.
bool isPower(const Product &product, double number, Value x, size_t power) {
  return isNear(product.number, number) && product.factors.size() == power &&
         llvm::all_of(product.factors, [&](Value factor) { return isSame(factor, x); });
}

constexpr double kCubic = 0.044715;

/// The terms of a sum: Add, or what it was raised to.
std::optional<std::pair<Value, Value>> sumOf(Value value) {
  if (auto sum = value.getDefiningOp<llm::AddOp>()) return std::pair(sum.getA(), sum.getB());
  llm::OnnxNodeOp node = nodeOf(value, "Add");
  return node ? std::optional(std::pair(node.getInputs()[0], node.getInputs()[1])) : std::nullopt;
}

/// Whether the value is sqrt(2/pi) * (x + 0.044715 x^3).
bool isTanhArgument(Value value, Value x) {
  Product product = productOf(value);
  const double outer = std::sqrt(2 / M_PI);
  if (!isNear(product.number, outer)) return false;
  for (auto [i, factor] : llvm::enumerate(product.factors)) {
    auto sum = sumOf(factor);
    if (!sum) continue;
    Product rest = product;
    rest.factors.erase(rest.factors.begin() + i);
    for (auto [one, other] : {*sum, std::pair(sum->second, sum->first)}) {
      Value first = beforeCasts(one);
      Product second = productOf(other);
      // x + 0.044715 x^3, or x * (1 + 0.044715 x^2)
      if (rest.factors.empty() && isSame(first, x) && isPower(second, kCubic, x, 3)) return true;
      if (isPower(rest, product.number, x, 1) && scalar(first) == 1.0 && isPower(second, kCubic, x, 2)) return true;
    }
  }
  return false;
}

/// Operators of their own.
std::optional<Activated> fused(llm::OnnxNodeOp node, std::string &reason) {
  Value x = node.getInputs().empty() ? Value() : node.getInputs()[0];
  auto is = [&](llm::Activation activation, Value added = {}) { return Activated{x, added, activation}; };
  if (isNode(node, "Relu")) return is(llm::Activation::Relu);
  if (isNode(node, "Gelu")) {
    auto form = node.getOnnxAttributes().getAs<StringAttr>("approximate");
    return is(form && form == "tanh" ? llm::Activation::GeluTanh : llm::Activation::GeluErf);
  }
  if (isNode(node, "Gelu", kMicrosoft)) return is(llm::Activation::GeluErf);
  if (isNode(node, "BiasGelu", kMicrosoft)) return is(llm::Activation::GeluErf, operand(node, 1));
  if (isNode(node, "FastGelu", kMicrosoft)) return is(llm::Activation::GeluTanh, operand(node, 1));
  bool swish = isNode(node, "Swish"), quick = isNode(node, "QuickGelu", kMicrosoft);
  if (!swish && !quick) return std::nullopt;
  double alpha = floatAttr(node, "alpha", swish ? 1.0 : 1.702);
  if (alpha == 1) return is(llm::Activation::Silu);
  reason = "x * sigmoid(" + std::to_string(alpha) + " x), expected a factor of 1";
  return std::nullopt;
}

} // namespace

Product productOf(Value value) {
  Product product;
  multiply(product, value, kMostFactors);
  return product;
}

std::optional<Activated> activationOf(llm::OnnxNodeOp node, std::string &reason) {
  if (!isNode(node, "Mul") && !isNode(node, "Div")) return fused(node, reason);
  Product product = productOf(node.getResult(0));
  if (std::optional<Found> silu = without(product, "Sigmoid"); silu && silu->rest.factors.size() == 1) {
    if (isPower(silu->rest, 1, silu->operand, 1)) return Activated{silu->operand, {}, llm::Activation::Silu};
    reason = "the Sigmoid is of another value than it is multiplied with";
    return std::nullopt;
  }
  if (std::optional<Found> erf = withoutOnePlus(product, "Erf"); erf && erf->rest.factors.size() == 1) {
    Value x = erf->rest.factors[0];
    if (isPower(erf->rest, 0.5, x, 1) && isPower(productOf(erf->operand), M_SQRT1_2, x, 1))
      return Activated{x, {}, llm::Activation::GeluErf};
  }
  if (std::optional<Found> tanh = withoutOnePlus(product, "Tanh"); tanh && tanh->rest.factors.size() == 1) {
    Value x = tanh->rest.factors[0];
    if (isPower(tanh->rest, 0.5, x, 1) && isTanhArgument(tanh->operand, x))
      return Activated{x, {}, llm::Activation::GeluTanh};
  }
  return std::nullopt;
}

} // namespace llmc::raise
