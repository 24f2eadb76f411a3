// Tensors of each element type, in each place where their data may be.
#include "Text.h"
#include "dialects/llm/Llm.h"
#include "frontends/onnx/Import.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace llmc;
using namespace llmc::test;

/// A type, `raw` bytes of two elements (of four, if they have 2 bits), and how they are printed.
struct Element {
  const char *name;
  int number;
  std::vector<uint8_t> raw;
  int count;
  const char *type, *text;
};
static void PrintTo(const Element &e, std::ostream *out) { *out << e.name; }
static const Element kElements[] = {
    {"float", 1, {0, 0, 128, 63, 0, 0, 0, 192}, 2, "f32", "[1.000000e+00, -2.000000e+00]"},
    {"uint8", 2, {1, 255}, 2, "ui8", "[1, 255]"},
    {"int8", 3, {1, 255}, 2, "si8", "[1, -1]"},
    {"uint16", 4, {1, 0, 255, 255}, 2, "ui16", "[1, 65535]"},
    {"int16", 5, {1, 0, 255, 255}, 2, "si16", "[1, -1]"},
    {"int32", 6, {1, 0, 0, 0, 255, 255, 255, 255}, 2, "i32", "[1, -1]"},
    {"int64", 7, {1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}, 2, "i64", "[1, -1]"},
    {"bool", 9, {1, 0}, 2, "i1", "[true, false]"},
    {"float16", 10, {0, 60, 0, 192}, 2, "f16", "[1.000000e+00, -2.000000e+00]"},
    {"double", 11, {0, 0, 0, 0, 0, 0, 240, 63, 0, 0, 0, 0, 0, 0, 0, 192}, 2, "f64", "[1.000000e+00, -2.000000e+00]"},
    {"uint32", 12, {1, 0, 0, 0, 255, 255, 255, 255}, 2, "ui32", "[1, 4294967295]"},
    {"uint64",
     13,
     {1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255},
     2,
     "ui64",
     "[1, 18446744073709551615]"},
    {"bfloat16", 16, {128, 63, 0, 192}, 2, "bf16", "[1.000000e+00, -2.000000e+00]"},
    {"float8e4m3fn", 17, {0x38, 0xC0}, 2, "f8E4M3FN", "[1.000000e+00, -2.000000e+00]"},
    {"float8e4m3fnuz", 18, {0x40, 0xC8}, 2, "f8E4M3FNUZ", "[1.000000e+00, -2.000000e+00]"},
    {"float8e5m2", 19, {0x3C, 0xC0}, 2, "f8E5M2", "[1.000000e+00, -2.000000e+00]"},
    {"float8e5m2fnuz", 20, {0x40, 0xC4}, 2, "f8E5M2FNUZ", "[1.000000e+00, -2.000000e+00]"},
    {"uint4", 21, {0xF1}, 2, "ui4", "[1, 15]"},
    {"int4", 22, {0xF1}, 2, "si4", "[1, -1]"},
    {"float4e2m1", 23, {0xC2}, 2, "f4E2M1FN", "[1.000000e+00, -2.000000e+00]"},
    {"float8e8m0", 24, {0x7F, 0x80}, 2, "f8E8M0FNU", "[1.000000e+00, 2.000000e+00]"},
    {"uint2", 25, {0xE4}, 4, "ui2", "[0, 1, 2, 3]"},
    {"int2", 26, {0xE4}, 4, "si2", "[0, 1, -2, -1]"},
};
class OnnxElements : public testing::TestWithParam<Element> {};
INSTANTIATE_TEST_SUITE_P(All, OnnxElements, testing::ValuesIn(kElements),
                         [](const auto &info) { return info.param.name; });

static ::onnx::ModelProto withInitializer(int number, int count) {
  return [&] {
    ::onnx::ModelProto model = parseModel("g (float[N] x) => (float y) { y = Relu (x) }");
    auto &tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name("w"), tensor.set_data_type(number), tensor.add_dims(count);
    return model;
  }();
}
static std::string rawOf(const Element &e) { return std::string(e.raw.begin(), e.raw.end()); }

TEST_P(OnnxElements, AreReadFromTheirTypedField) {
  const Element &e = GetParam();
  ::onnx::ModelProto model = withInitializer(e.number, e.count);
  auto &tensor = *model.mutable_graph()->mutable_initializer(0);
  std::string raw = rawOf(e);
  if (e.number == 1) {
    for (float value : {1.0f, -2.0f}) tensor.add_float_data(value);
  } else if (e.number == 11) {
    for (double value : {1.0, -2.0}) tensor.add_double_data(value);
  } else {
    // One number for each element, or for each byte of smaller ones; signed types as signed numbers.
    size_t bytes = e.count > int(raw.size()) ? 1 : raw.size() / e.count;
    bool isSigned = e.number == 3 || e.number == 5 || e.number == 6 || e.number == 7;
    for (size_t at = 0; at < raw.size(); at += bytes) {
      uint64_t value = 0;
      for (size_t i = bytes; i-- > 0;) value = value << 8 | uint8_t(raw[at + i]);
      int64_t extended = int64_t(value << (64 - 8 * bytes)) >> (64 - 8 * bytes);
      if (e.number == 7)
        tensor.add_int64_data(extended);
      else if (e.number == 12 || e.number == 13)
        tensor.add_uint64_data(value);
      else
        tensor.add_int32_data(int32_t(isSigned ? extended : int64_t(value)));
    }
  }
  // Floats and doubles stand in the file as they are: they are referred to, and kept as a small table.
  bool referred = e.number == 1 || e.number == 11;
  std::string elements = "dense<" + std::string(e.text) + "> : tensor<" + std::to_string(e.count) + "x" + e.type + ">";
  EXPECT_HAS(importModel(model), (referred ? "{value = " : "llm.onnx_constant ") + elements);
}

TEST_P(OnnxElements, AreReadFromRawData) {
  const Element &e = GetParam();
  ::onnx::ModelProto model = withInitializer(e.number, e.count);
  model.mutable_graph()->mutable_initializer(0)->set_raw_data(rawOf(e));
  std::string text = importModel(model), type = "tensor<" + std::to_string(e.count) + "x" + e.type + ">";
  EXPECT_HAS(text, type);
  if (e.number == 6 || e.number == 7 || e.number == 9) {
    EXPECT_HAS(text, "llm.onnx_constant dense<" + std::string(e.text) + "> : " + type);
  } else {
    EXPECT_HAS(text, "llm.onnx_tensor \"w\" <0, ");
  }
  // One element is a constant of whatever type.
  model.mutable_graph()->mutable_initializer(0)->set_dims(0, 1);
  model.mutable_graph()->mutable_initializer(0)->set_raw_data(
      rawOf(e).substr(0, std::max<size_t>(e.raw.size() / e.count, 1)));
  EXPECT_HAS(importModel(model), "llm.onnx_constant dense<");
  model.mutable_graph()->mutable_initializer(0)->set_raw_data(rawOf(e) + "x");
  EXPECT_HAS(importModel(model), "error: model.onnx: w: found ");
}

/// A folder that is removed, with files beside and within it.
class OnnxFiles : public testing::Test {
protected:
  void SetUp() override {
    llvm::SmallString<128> made;
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("llmc-onnx", made));
    root = made.str().str();
    for (std::string folder : {"/model", "/model/sub"}) ASSERT_FALSE(llvm::sys::fs::create_directory(root + folder));
    for (const char *file : {"/outside.bin", "/model/inside.bin", "/model/sub/deep.bin"})
      write(file, std::string(64, 1));
    ASSERT_EQ(symlink("../outside.bin", (root + "/model/link.bin").c_str()), 0);
    ASSERT_EQ(symlink("inside.bin", (root + "/model/near.bin").c_str()), 0);
    ASSERT_EQ(symlink("..", (root + "/model/up").c_str()), 0);
    ASSERT_EQ(symlink("circle", (root + "/model/circle").c_str()), 0);
  }
  void TearDown() override { llvm::sys::fs::remove_directories(root); }
  void write(const std::string &name, const std::string &bytes) {
    std::ofstream(root + name, std::ios::binary) << bytes;
  }

  static void refer(::onnx::TensorProto &tensor, const std::string &location) {
    std::string name = tensor.name();
    tensor.Clear();
    tensor.set_name(name), tensor.set_data_type(1), tensor.add_dims(4), tensor.add_dims(4);
    tensor.set_data_location(::onnx::TensorProto::EXTERNAL);
    auto &entry = *tensor.add_external_data();
    entry.set_key("location"), entry.set_value(location);
  }
  std::string import(const ::onnx::ModelProto &model) { return importModel(model, root + "/model/model.onnx"); }

  std::string root;
};

/// The places of a tensor: an initializer of the graph, of a branch, of a function's branch; a Constant node of each.
static const char *const kPlaces = R"(
    g (bool c, float[4, 4] x) => (float y) <float[1] w = {1}> {
      k = Constant <value = float[1] {1}> ()
      a = Add (w, k)
      f = local.f (c, a)
      b = If (c) <then_branch = t () => (float p) <float[1] v = {1}> { p = Add (v, f) },
                  else_branch = e () => (float q) { h = Constant <value = float[1] {1}> () q = Add (h, f) }>
      y = Add (b, x) }
    <domain: "local", opset_import: ["": 18]> f (c, a) => (b) {
      m = Constant <value = float[1] {1}> ()
      b = If (c) <then_branch = t () => (float p) <float[1] u = {1}> { p = Add (u, m) },
                  else_branch = e () => (float q) { q = Add (a, m) }> })";

/// All tensors of a message of the schema.
static void collect(google::protobuf::Message &message, std::vector<::onnx::TensorProto *> &out) {
  if (auto *tensor = dynamic_cast<::onnx::TensorProto *>(&message)) {
    out.push_back(tensor);
    return;
  }
  const auto *reflection = message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor *> fields;
  reflection->ListFields(message, &fields);
  for (const auto *field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      collect(*reflection->MutableMessage(&message, field), out);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i)
      collect(*reflection->MutableRepeatedMessage(&message, field, i), out);
  }
}

TEST_F(OnnxFiles, StayInTheModelsFolderWhereverTheTensorIs) {
  ::onnx::ModelProto plain = parseModel(kPlaces);
  std::vector<::onnx::TensorProto *> tensors;
  collect(plain, tensors);
  ASSERT_EQ(tensors.size(), 6u);
  for (size_t i = 0; i < tensors.size(); ++i) {
    for (const std::string &location : {std::string("inside.bin"), std::string("sub/deep.bin"), std::string("near.bin"),
                                        std::string("./inside.bin")}) {
      ::onnx::ModelProto model = plain;
      std::vector<::onnx::TensorProto *> copy;
      collect(model, copy);
      refer(*copy[i], location);
      std::string text = import(model);
      EXPECT_EQ(text.find("error"), std::string::npos) << i << " " << location << "\n" << text;
    }
    for (const std::string &location :
         {std::string("../outside.bin"), std::string("sub/../../outside.bin"), std::string("sub/../inside.bin"),
          root + "/outside.bin", root + "/model/inside.bin", std::string("link.bin"), std::string("up/outside.bin"),
          std::string("circle"), std::string(), std::string("sub"), std::string("none.bin"), std::string("/dev/zero"),
          std::string("..\\outside.bin"), std::string("up")}) {
      ::onnx::ModelProto model = plain;
      std::vector<::onnx::TensorProto *> copy;
      collect(model, copy);
      refer(*copy[i], location);
      std::string text = import(model);
      EXPECT_HAS(text, "error: ");
      EXPECT_HAS(text, "external data must be a file in the model's folder");
    }
  }
}

TEST_F(OnnxFiles, SparseTensorsAreRefused) {
  ::onnx::ModelProto model = parseModel("g (float[N] x) => (float y) { y = Relu (x) }");
  auto &sparse = *model.mutable_graph()->add_sparse_initializer();
  sparse.mutable_values()->set_name("w");
  refer(*sparse.mutable_values(), "../outside.bin");
  EXPECT_HAS(import(model), "graph: found a sparse initializer, expected dense ones");
  model = parseModel("g (float[N] x) => (float y) { k = Constant <value_int = 1> () y = Relu (x) }");
  auto &attribute = *model.mutable_graph()->mutable_node(0)->mutable_attribute(0);
  attribute.set_name("sparse_value"), attribute.set_type(::onnx::AttributeProto::SPARSE_TENSOR);
  refer(*attribute.mutable_sparse_tensor()->mutable_values(), "../outside.bin");
  EXPECT_HAS(import(model), "(Constant): sparse tensors are not supported");
}

/// A model of 5 GB, and one with 5 GB beside it, as files with a hole: what is read is the rest.
TEST_F(OnnxFiles, MayBeOverTwoGigabytes) {
  const uint64_t size = uint64_t(5) << 30;
  ::onnx::ModelProto model = parseModel("g (float[N] x) => (float y) { y = Relu (x) }");
  auto &tensor = *model.mutable_graph()->add_initializer();
  refer(tensor, "inside.bin");
  tensor.set_name("w"), tensor.set_dims(0, size / 16);
  ASSERT_EQ(truncate((root + "/model/inside.bin").c_str(), off_t(size)), 0);
  EXPECT_HAS(import(model), "tensor<335544320x4xf32>");

  // The same in raw_data: the graph is the last field of the model, and its initializer that of the graph.
  tensor.clear_external_data(), tensor.clear_data_location();
  ::onnx::TensorProto last = tensor;
  ::onnx::GraphProto graph = model.graph();
  graph.clear_initializer();
  model.clear_graph();
  auto varint = [](uint64_t value) {
    std::string out;
    for (; value > 127; value >>= 7) out += char(value | 128);
    return out + char(value);
  };
  auto field = [&](int number, uint64_t length) { return varint(number << 3 | 2) + varint(length); };
  std::string t = last.SerializeAsString() + field(9, size), g = graph.SerializeAsString();
  std::string head = g + field(5, t.size() + size) + t;
  write("/model/model.onnx", model.SerializeAsString() + field(7, head.size() + size) + head);
  std::string path = root + "/model/model.onnx";
  uint64_t before = 0;
  ASSERT_FALSE(llvm::sys::fs::file_size(path, before));
  ASSERT_EQ(truncate(path.c_str(), off_t(before + size)), 0);
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  llvm::Expected<ImportedModel> imported = importOnnx(path, context);
  ASSERT_TRUE(bool(imported)) << llvm::toString(imported.takeError());
  unsigned found = 0;
  imported->module->walk([&](llm::OnnxTensorOp op) {
    ++found;
    EXPECT_EQ(op.getStorage().getOffset(), int64_t(before));
    EXPECT_EQ(op.getStorage().getBytes(), int64_t(size));
  });
  EXPECT_EQ(found, 1u);
}
