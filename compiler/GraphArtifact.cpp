#include "compiler/GraphArtifact.h"
#include "compiler/WeightFiles.h"
#include "dialects/llm/Llm.h"
#include "llmc.h"
#include "llmc_artifact.h"
#include "mlir/IR/BuiltinTypes.h"
#include "passes/graph/Graph.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/IR/Constants.h"

using namespace mlir;

namespace llmc {
namespace {

constexpr uint64_t kPiece = uint64_t(8) << 20; // bytes copied at once

llvm::Constant *table(llvm::Module &into, llvm::ArrayRef<llvm::Constant *> entries) {
  if (entries.empty()) return llvm::ConstantPointerNull::get(llvm::PointerType::get(into.getContext(), 0));
  auto *array = llvm::ConstantArray::get(llvm::ArrayType::get(entries.front()->getType(), entries.size()), entries);
  return new llvm::GlobalVariable(into, array->getType(), true, llvm::GlobalValue::PrivateLinkage, array);
}

/// struct llmc_graph_value.
llvm::Constant *valueConstant(llvm::Module &into, DictionaryAttr value) {
  llvm::Type *i64 = llvm::Type::getInt64Ty(into.getContext());
  auto constant = [&](int64_t number) -> llvm::Constant * { return llvm::ConstantInt::get(i64, number); };
  ArrayRef<int64_t> dims = value.getAs<DenseI64ArrayAttr>("dims").asArrayRef();
  auto symbols = value.getAs<ArrayAttr>("symbols");
  llvm::SmallVector<llvm::Constant *> sizes, names;
  for (auto [i, dim] : llvm::enumerate(dims)) {
    auto symbol = symbols && i < symbols.size() ? dyn_cast<StringAttr>(symbols[i]) : StringAttr();
    sizes.push_back(constant(dim));
    names.push_back(textConstant(into, symbol ? symbol.getValue() : ""));
  }
  int32_t type = elementNumber(value.getAs<TypeAttr>("type").getValue());
  return llvm::ConstantStruct::getAnon({textConstant(into, value.getAs<StringAttr>("name").getValue()), constant(type),
                                        constant(int64_t(dims.size())), table(into, sizes), table(into, names)});
}

} // namespace

bool isGraph(ModuleOp module) { return module->hasAttr(kGraphInputs); }

int32_t elementNumber(Type element) {
  if (auto integer = dyn_cast<IntegerType>(element)) {
    bool isUnsigned = integer.isUnsigned();
    switch (integer.getWidth()) {
    case 1: return LLMC_BOOL;
    case 2: return isUnsigned ? LLMC_U2 : LLMC_I2;
    case 4: return isUnsigned ? LLMC_U4 : LLMC_I4;
    case 8: return isUnsigned ? LLMC_U8 : LLMC_I8;
    case 16: return isUnsigned ? LLMC_U16 : LLMC_I16;
    case 32: return isUnsigned ? LLMC_U32 : LLMC_I32;
    case 64: return isUnsigned ? LLMC_U64 : LLMC_I64;
    default: return 0;
    }
  }
  return llvm::TypeSwitch<Type, int32_t>(element)
      .Case<Float32Type>([](Type) { return LLMC_F32; })
      .Case<Float16Type>([](Type) { return LLMC_F16; })
      .Case<BFloat16Type>([](Type) { return LLMC_BF16; })
      .Case<Float64Type>([](Type) { return LLMC_F64; })
      .Case<Float8E4M3FNType>([](Type) { return LLMC_F8E4M3FN; })
      .Case<Float8E4M3FNUZType>([](Type) { return LLMC_F8E4M3FNUZ; })
      .Case<Float8E5M2Type>([](Type) { return LLMC_F8E5M2; })
      .Case<Float8E5M2FNUZType>([](Type) { return LLMC_F8E5M2FNUZ; })
      .Case<Float4E2M1FNType>([](Type) { return LLMC_F4E2M1; })
      .Case<Float8E8M0FNUType>([](Type) { return LLMC_F8E8M0; })
      .Default([](Type) { return 0; });
}

llvm::Constant *textConstant(llvm::Module &module, llvm::StringRef value) {
  auto *data = llvm::ConstantDataArray::getString(module.getContext(), value);
  auto *global = new llvm::GlobalVariable(module, data->getType(), true, llvm::GlobalValue::PrivateLinkage, data);
  global->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
  return global;
}

llvm::Constant *graphConstants(llvm::Module &into, ModuleOp module) {
  static_assert(sizeof(llmc_graph) == 4 * 8 && sizeof(llmc_graph_value) == 5 * 8);
  llvm::Type *i64 = llvm::Type::getInt64Ty(into.getContext());
  llvm::SmallVector<llvm::Constant *> inputs, outputs;
  for (auto [name, list] : {std::pair(kGraphInputs, &inputs), {kGraphOutputs, &outputs}})
    for (auto value : module->getAttrOfType<ArrayAttr>(name).getAsRange<DictionaryAttr>())
      list->push_back(valueConstant(into, value));
  auto *all = llvm::ConstantStruct::getAnon({llvm::ConstantInt::get(i64, inputs.size()),
                                             llvm::ConstantInt::get(i64, outputs.size()), table(into, inputs),
                                             table(into, outputs)});
  return new llvm::GlobalVariable(into, all->getType(), true, llvm::GlobalValue::PrivateLinkage, all);
}

llvm::Error writeGraphWeights(ModuleOp module, llvm::ArrayRef<std::string> paths, WeightSink &sink,
                              const std::function<void(uint64_t, uint64_t)> &progress) {
  auto weights = module->getAttrOfType<ArrayAttr>(kGraphWeights);
  if (!weights || weights.empty()) return sink.finish();
  llvm::Expected<WeightFiles> files = WeightFiles::map(paths);
  if (!files) return files.takeError();
  uint64_t total = 0, done = 0;
  for (auto weight : weights.getAsRange<DictionaryAttr>())
    total += uint64_t(weight.getAs<llm::StorageAttr>("storage").getBytes());
  for (auto weight : weights.getAsRange<DictionaryAttr>()) {
    auto storage = weight.getAs<llm::StorageAttr>("storage");
    uint64_t place = uint64_t(weight.getAs<IntegerAttr>("offset").getInt());
    const llm::InputFile &file = files->files()[storage.getFile()];
    uint64_t offset = uint64_t(storage.getOffset()), size = uint64_t(storage.getBytes());
    if (offset > file.bytes.size() || size > file.bytes.size() - offset)
      return llvm::createStringError(file.name + ": found " + std::to_string(file.bytes.size()) + " bytes, expected " +
                                     std::to_string(size) + " at " + std::to_string(offset) +
                                     "; the file is truncated");
    for (llvm::ArrayRef<uint8_t> left = file.bytes.slice(offset, size); !left.empty();) {
      llvm::ArrayRef<uint8_t> piece = left.take_front(kPiece);
      if (llvm::Error error = sink.write(place, piece)) return error;
      files->release(piece);
      left = left.drop_front(piece.size());
      place += piece.size(), done += piece.size();
      if (progress) progress(done, total);
    }
  }
  return sink.finish();
}

} // namespace llmc
