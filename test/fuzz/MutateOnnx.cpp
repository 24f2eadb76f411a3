#include "fuzz/MutateOnnx.h"
#include "frontends/onnx/Check.h"
#include "frontends/onnx/Proto.h"
#include <cmath>
#include <google/protobuf/stubs/logging.h>
#include <random>

namespace llmc::test {
namespace {

using Random = std::mt19937_64;
constexpr int64_t kNumbers[] = {0,  1,         -1,        2,         3,         7,         8,         16,        64,
                                -2, INT32_MAX, INT32_MIN, 1ll << 32, 1ll << 42, INT64_MAX, INT64_MIN, 1ll << 41, 255};
constexpr float kFloats[] = {0, 1, -1, 1e-30f, 1e30f, -0.0f, INFINITY, NAN};

class Mutator {
public:
  Mutator(::onnx::ModelProto &model, uint64_t seed) : model(model), random(seed) {}

  void change() {
    ::onnx::GraphProto &graph = pickGraph();
    using Change = void (Mutator::*)(::onnx::GraphProto &);
    static constexpr Change kChanges[] = {
        &Mutator::operatorOf, &Mutator::operatorOf, &Mutator::operand,   &Mutator::operand, &Mutator::result,
        &Mutator::attribute,  &Mutator::attribute,  &Mutator::attribute, &Mutator::tensor,  &Mutator::tensor,
        &Mutator::input,      &Mutator::version,    &Mutator::moveNode,  &Mutator::wrapIf,  &Mutator::callFunction,
        &Mutator::declare,    &Mutator::dropNode};
    (this->*kChanges[below(std::size(kChanges))])(graph);
  }

private:
  uint64_t below(uint64_t end) { return end ? random() % end : 0; }
  int64_t number() { return kNumbers[below(std::size(kNumbers))]; }

  /// The model's graph or one within it.
  ::onnx::GraphProto &pickGraph() {
    ::onnx::GraphProto *graph = model.mutable_graph();
    for (int depth = 0; depth < 3 && graph->node_size(); ++depth) {
      ::onnx::NodeProto *node = graph->mutable_node(below(graph->node_size()));
      for (auto &attribute : *node->mutable_attribute())
        if (attribute.has_g() && below(2)) graph = attribute.mutable_g();
    }
    return *graph;
  }
  ::onnx::NodeProto *pickNode(::onnx::GraphProto &graph) {
    return graph.node_size() ? graph.mutable_node(below(graph.node_size())) : nullptr;
  }
  /// The name of some value of the graph, or of none.
  std::string pickValue(::onnx::GraphProto &graph) {
    switch (below(4)) {
    case 0:
      if (graph.input_size()) return graph.input(below(graph.input_size())).name();
      break;
    case 1:
      if (graph.initializer_size()) return graph.initializer(below(graph.initializer_size())).name();
      break;
    case 2:
      if (below(8) == 0) return below(2) ? "" : "nobody";
      break;
    default: break;
    }
    ::onnx::NodeProto *node = pickNode(graph);
    return node && node->output_size() ? node->output(below(node->output_size())) : "";
  }

  void operatorOf(::onnx::GraphProto &graph) {
    ::onnx::NodeProto *node = pickNode(graph);
    if (!node) return;
    llvm::ArrayRef<llmc::onnx::Operator> tables[] = {llmc::onnx::mathOperators(), llmc::onnx::shapeOperators(),
                                                     llmc::onnx::layerOperators(), llmc::onnx::microsoftOperators()};
    uint64_t which = below(std::size(tables));
    const llmc::onnx::Operator &op = tables[which][below(tables[which].size())];
    node->set_op_type(op.name);
    node->set_domain(which == 3 ? "com.microsoft" : "");
    if (below(2)) node->clear_attribute();
    // Attributes as the row has them, so that the function of the row is reached.
    for (llvm::StringRef rest = op.attributes; !rest.empty();) {
      auto [entry, tail] = rest.split(' ');
      auto [key, kind] = entry.split(':');
      rest = tail;
      if (kind.ends_with("!") || below(3) == 0) fill(*node->add_attribute(), key.str(), kind.front());
    }
    while (node->input_size() < int(llmc::onnx::leastOperands(op))) node->add_input(pickValue(graph));
  }
  void fill(::onnx::AttributeProto &a, const std::string &name, char kind) {
    using Proto = ::onnx::AttributeProto;
    a.set_name(name);
    switch (kind) {
    case 'i': a.set_type(Proto::INT), a.set_i(number()); break;
    case 'f': a.set_type(Proto::FLOAT), a.set_f(kFloats[below(std::size(kFloats))]); break;
    case 's': a.set_type(Proto::STRING), a.set_s(below(2) ? "ij,jk->ik" : "..."); break;
    case 'I':
      a.set_type(Proto::INTS);
      for (uint64_t n = below(6); n; --n) a.add_ints(number());
      break;
    case 'F':
      a.set_type(Proto::FLOATS);
      for (uint64_t n = below(6); n; --n) a.add_floats(kFloats[below(std::size(kFloats))]);
      break;
    case 'g':
      a.set_type(Proto::GRAPH);
      a.mutable_g()->CopyFrom(model.graph());
      while (a.g().node_size() > 3) a.mutable_g()->mutable_node()->RemoveLast();
      break;
    default: a.set_type(Proto::INT);
    }
  }

  void operand(::onnx::GraphProto &graph) {
    ::onnx::NodeProto *node = pickNode(graph);
    if (!node) return;
    std::string value = pickValue(graph);
    switch (below(3)) {
    case 0: node->add_input(value); break;
    case 1:
      if (node->input_size()) node->mutable_input()->RemoveLast();
      break;
    default:
      if (node->input_size()) node->set_input(below(node->input_size()), value);
    }
  }
  void result(::onnx::GraphProto &graph) {
    ::onnx::NodeProto *node = pickNode(graph);
    if (!node) return;
    if (below(2))
      node->add_output("result" + std::to_string(below(1000)));
    else if (node->output_size())
      node->set_output(below(node->output_size()), below(4) ? "result" + std::to_string(below(1000)) : "");
  }
  void attribute(::onnx::GraphProto &graph) {
    ::onnx::NodeProto *node = pickNode(graph);
    if (!node || !node->attribute_size()) return;
    ::onnx::AttributeProto &a = *node->mutable_attribute(below(node->attribute_size()));
    if (a.has_i()) a.set_i(number());
    if (a.has_f()) a.set_f(kFloats[below(std::size(kFloats))]);
    if (a.ints_size()) a.set_ints(below(a.ints_size()), number());
    if (a.ints_size() && below(4) == 0) a.add_ints(number());
    if (a.has_t()) change(*a.mutable_t());
    if (below(16) == 0) a.set_ref_attr_name("attribute");
    if (below(16) == 0) node->mutable_attribute()->RemoveLast();
  }

  void change(::onnx::TensorProto &t) {
    switch (below(4)) {
    case 0:
      if (t.dims_size()) t.set_dims(below(t.dims_size()), number());
      break;
    case 1: t.set_data_type(below(30)); break;
    case 2:
      if (t.int64_data_size()) t.set_int64_data(below(t.int64_data_size()), number());
      if (t.has_raw_data() && t.raw_data().size() >= 8) {
        int64_t value = number();
        t.mutable_raw_data()->replace(0, 8, reinterpret_cast<const char *>(&value), 8);
      }
      break;
    default: { // a list of integers: axes, shapes
      std::string name = t.name();
      t.Clear();
      t.set_name(name), t.set_data_type(7);
      uint64_t count = below(5);
      t.add_dims(count);
      for (; count; --count) t.add_int64_data(number());
    }
    }
  }
  void tensor(::onnx::GraphProto &graph) {
    if (graph.initializer_size()) change(*graph.mutable_initializer(below(graph.initializer_size())));
  }
  void input(::onnx::GraphProto &graph) {
    if (!graph.input_size()) return;
    auto &type = *graph.mutable_input(below(graph.input_size()))->mutable_type()->mutable_tensor_type();
    if (below(3) == 0) type.set_elem_type(below(30));
    if (below(4) == 0) type.clear_shape();
    if (below(4) == 0) type.mutable_shape()->add_dim()->set_dim_value(number());
    if (type.shape().dim_size()) {
      auto &dim = *type.mutable_shape()->mutable_dim(below(type.shape().dim_size()));
      below(2) ? dim.set_dim_value(number()) : dim.set_dim_param("n");
    }
  }
  void version(::onnx::GraphProto &) {
    if (model.opset_import_size())
      model.mutable_opset_import(below(model.opset_import_size()))->set_version(7 + below(22));
  }
  void moveNode(::onnx::GraphProto &graph) {
    if (graph.node_size() > 1) graph.mutable_node()->SwapElements(below(graph.node_size()), below(graph.node_size()));
  }
  void dropNode(::onnx::GraphProto &graph) {
    if (graph.node_size()) graph.mutable_node()->DeleteSubrange(below(graph.node_size()), 1);
  }
  /// A node in both branches of an If, or in the body of a Loop.
  void wrapIf(::onnx::GraphProto &graph) {
    ::onnx::NodeProto *node = pickNode(graph);
    if (!node || !node->output_size() || node->ByteSizeLong() > 4096) return;
    ::onnx::NodeProto inner = *node;
    ::onnx::GraphProto body;
    *body.add_node() = inner;
    for (const std::string &output : inner.output()) body.add_output()->set_name(output);
    bool loop = below(3) == 0;
    node->set_op_type(loop ? "Loop" : "If"), node->clear_domain(), node->clear_attribute(), node->clear_input();
    for (int i = 0; i < (loop ? 2 + int(below(2)) : 1); ++i) node->add_input(pickValue(graph));
    if (loop)
      for (int i = 0; i < node->input_size(); ++i) body.add_input()->set_name("argument" + std::to_string(i));
    for (const char *name : {"then_branch", "else_branch"}) {
      ::onnx::AttributeProto &a = *node->add_attribute();
      a.set_name(loop ? "body" : name), a.set_type(::onnx::AttributeProto::GRAPH);
      *a.mutable_g() = body;
      if (loop) break;
    }
  }
  /// A node as a function of its own, which is called in its place.
  void callFunction(::onnx::GraphProto &graph) {
    ::onnx::NodeProto *node = pickNode(graph);
    if (!node || model.functions_size() > 4 || node->ByteSizeLong() > 4096) return;
    ::onnx::FunctionProto &function = *model.add_functions();
    function.set_name("F" + std::to_string(below(4))), function.set_domain("local");
    *function.mutable_input() = node->input(), *function.mutable_output() = node->output();
    *function.add_node() = *node;
    if (below(4) == 0) {
      ::onnx::NodeProto &again = *function.add_node();
      again.set_op_type("F" + std::to_string(below(4))), again.set_domain("local");
      again.add_input(pickValue(graph)), again.add_output("again");
    }
    for (const auto &a : node->attribute()) function.add_attribute(a.name());
    for (auto &a : *function.mutable_node(0)->mutable_attribute())
      if (below(2)) a.set_ref_attr_name(a.name());
    node->set_op_type(function.name()), node->set_domain("local");
  }
  void declare(::onnx::GraphProto &graph) {
    auto &info = *graph.add_value_info();
    info.set_name(pickValue(graph));
    auto &type = *info.mutable_type()->mutable_tensor_type();
    type.set_elem_type(below(2) ? 1 : 7);
    for (uint64_t n = below(5); n; --n) type.mutable_shape()->add_dim()->set_dim_value(number());
  }

  ::onnx::ModelProto &model;
  Random random;
};
} // namespace

std::string mutateOnnx(const std::string &bytes, uint64_t seed) {
  google::protobuf::LogSilencer silence;
  ::onnx::ModelProto model;
  if (!model.ParseFromString(bytes) || !model.has_graph()) return bytes;
  Mutator mutator(model, seed);
  for (uint64_t changes = 1 + seed % 4; changes; --changes) mutator.change();
  return model.SerializeAsString();
}

} // namespace llmc::test
