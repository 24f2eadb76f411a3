// Model-local functions: a call is replaced by the function's nodes.
#include "frontends/onnx/Importer.h"
#include "llvm/Support/SaveAndRestore.h"
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

constexpr unsigned kMostCalls = 64; // in each other
constexpr size_t kMostPrefix = 256; // bytes of the names of calls in each other

// Fields that are newer than the schema that is compiled in.
constexpr int kNodeOverload = 8, kFunctionDefaults = 11, kFunctionOverload = 13;

/// The values of a string or message field, by its number.
std::vector<std::string> fieldByNumber(const google::protobuf::Message &message, int number) {
  std::vector<std::string> out;
  const auto *reflection = message.GetReflection();
  if (const auto *field = message.GetDescriptor()->FindFieldByNumber(number)) {
    if (field->is_repeated())
      for (int i = 0; i < reflection->FieldSize(message, field); ++i)
        out.push_back(reflection->GetRepeatedMessage(message, field, i).SerializeAsString());
    else if (reflection->HasField(message, field))
      out.push_back(reflection->GetString(message, field));
    return out;
  }
  const auto &unknown = reflection->GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i)
    if (unknown.field(i).number() == number &&
        unknown.field(i).type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
      out.push_back(unknown.field(i).length_delimited());
  return out;
}
std::string lastOf(std::vector<std::string> values) { return values.empty() ? "" : std::move(values.back()); }

std::string functionKey(StringRef domain, StringRef name, StringRef overload) {
  std::string key = (domain == "ai.onnx" ? "" : domain).str();
  for (StringRef part : {name, overload}) key += '\0', key += part;
  return key;
}
} // namespace

llvm::Error GraphImporter::collectFunctions() {
  for (const auto &proto : model.functions()) {
    if (auto error = checkName("function", proto.name())) return error;
    Function function;
    function.proto = &proto;
    for (const std::string &bytes : fieldByNumber(proto, kFunctionDefaults))
      if (!function.defaults.emplace_back().ParseFromString(bytes))
        return fail(proto.name(), "a default attribute that protobuf cannot parse", "an attribute");
    function.opsets = opsets;
    for (const auto &entry : proto.opset_import())
      function.opsets[entry.domain() == "ai.onnx" ? "" : entry.domain()] = entry.version();
    std::string key = functionKey(proto.domain(), proto.name(), lastOf(fieldByNumber(proto, kFunctionOverload)));
    if (!functions.try_emplace(key, std::move(function)).second)
      return fail(proto.name(), "two functions of this name", "one");
  }
  return llvm::Error::success();
}

const Function *GraphImporter::findFunction(const ::onnx::NodeProto &node) {
  if (functions.empty()) return nullptr;
  auto found = functions.find(functionKey(node.domain(), node.op_type(), lastOf(fieldByNumber(node, kNodeOverload))));
  return found == functions.end() ? nullptr : &found->second;
}

llvm::Error GraphImporter::inlineFunction(const ::onnx::NodeProto &node, const Function &called, Place place) {
  const ::onnx::FunctionProto &proto = *called.proto;
  for (const Frame *frame = &place.frame; frame; frame = frame->caller)
    if (frame->function == &called) return failNode(node, "found a function that calls itself");
  llvm::SaveAndRestore deeper(depth, depth + 1);
  if (depth > kMostCalls) return failNode(node, "found more than " + Twine(kMostCalls) + " calls in each other");
  for (const auto &[domain, version] : called.opsets)
    if (domain.empty() && (version < kOldestOpset || version > kNewestOpset))
      return failNode(node, "found a function of version " + Twine(version) + " of ai.onnx, expected " +
                                Twine(kOldestOpset) + " to " + Twine(kNewestOpset));

  Frame frame;
  frame.function = &called, frame.caller = &place.frame, frame.opsets = &called.opsets;
  frame.prefix = place.frame.prefix + (node.name().empty() ? node.op_type() : node.name()) + "/";
  if (frame.prefix.size() > kMostPrefix) frame.prefix.clear();
  Scope scope;
  if (node.input_size() > proto.input_size() || node.output_size() > proto.output_size())
    return failNode(node, "found " + Twine(node.input_size()) + " operands and " + Twine(node.output_size()) +
                              " results, expected at most " + Twine(proto.input_size()) + " and " +
                              Twine(proto.output_size()));
  for (int i = 0; i < proto.input_size(); ++i) {
    std::optional<Value> value = Value();
    if (i < node.input_size() && !node.input(i).empty()) value = place.scope.find(node.input(i));
    if (!value)
      return failNode(node, "operand " + Twine(i) + ": found '" + printable(node.input(i)) +
                                "', which is no input or initializer and is not made by an earlier node");
    if (auto error = define(proto.input(i), *value, scope)) return error;
  }
  for (const auto &attribute : called.defaults) frame.attributes[attribute.name()] = {&attribute, &frame, &scope};
  for (const auto &attribute : node.attribute()) {
    if (!llvm::is_contained(proto.attribute(), attribute.name()) && !frame.attributes.contains(attribute.name()))
      return failNode(node, "attribute " + printable(attribute.name()) + ": found one that the function does not have");
    llvm::Expected<std::optional<Bound>> bound = resolve(node, attribute, place);
    if (!bound) return bound.takeError();
    if (*bound) frame.attributes[attribute.name()] = **bound;
  }

  for (const auto &inner : proto.node())
    if (auto error = addNode(inner, {frame, scope})) return error;
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    std::optional<Value> value = scope.find(proto.output(i));
    if (!value || !*value)
      return failNode(node, "found no value for the function's output '" + printable(proto.output(i)) + "'");
    if (auto error = checkName("result", node.output(i))) return error;
    if (auto type = withDeclared(node.output(i), value->getType(), place.scope); !type) return type.takeError();
    if (auto error = define(node.output(i), *value, place.scope)) return error;
  }
  return llvm::Error::success();
}

} // namespace llmc::onnx
