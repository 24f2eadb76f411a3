#include "compiler/EmitObject.h"
#include "codegen/portable/Compile.h"
#include "codegen/portable/LlvmTarget.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/llm/Llm.h"
#include "llmc_artifact.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "passes/select/Descriptors.h"
#include "passes/support/Schemes.h"
#include "llvm/IR/Constants.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace llmc {
namespace {

/// A function of machine code, kept as it is through codegen: in the object, the JIT and profiles it has its name.
std::string functionAsm(llvm::StringRef name, const Code &code) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << ".text\n.p2align 6\n.globl " << name << "\n.hidden " << name << "\n.type " << name << ",@function\n"
     << name << ":\n";
  constexpr size_t perLine = 64;
  for (size_t i = 0; i < code.bytes.size(); i += perLine) {
    os << ".ascii \"";
    for (size_t j = i; j < std::min(i + perLine, code.bytes.size()); ++j) {
      uint8_t b = code.bytes[j];
      os << '\\' << char('0' + (b >> 6)) << char('0' + (b >> 3 & 7)) << char('0' + (b & 7));
    }
    os << "\"\n";
  }
  os << ".size " << name << ", " << code.bytes.size() << "\n";
  return text;
}

/// A portable kernel, under its own name.
llvm::Error linkPortable(llvm::Module &into, llvm::StringRef name, const std::string &text, const Target &target) {
  llvm::Expected<std::unique_ptr<llvm::Module>> module = translateKernel(text, target, into.getContext());
  if (!module) return llvm::createStringError(name.str() + ": " + llvm::toString(module.takeError()));
  llvm::Function *function = (*module)->getFunction("kernel");
  function->setName(name);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  if (llvm::Linker::linkModules(into, std::move(*module)))
    return llvm::createStringError(name.str() + ": does not link");
  return llvm::Error::success();
}

llvm::Error addKernels(ModuleOp module, const Target &target, llvm::Module &into) {
  for (auto func : module.getOps<kernel::FuncOp>()) {
    llvm::Expected<Code> code = emitKernel(func, target);
    if (!code) return code.takeError();
    std::string name = ("kernel_" + func.getSymName()).str();
    if (llvm::Function *declaration = into.getFunction(name))
      declaration->setVisibility(llvm::GlobalValue::HiddenVisibility);
    if (code->bytes.empty()) {
      if (llvm::Error error = linkPortable(into, name, code->mlir, target)) return error;
    } else {
      into.appendModuleInlineAsm(functionAsm(name, *code));
    }
  }
  return llvm::Error::success();
}

llvm::Constant *text(llvm::Module &module, llvm::StringRef value) {
  auto *data = llvm::ConstantDataArray::getString(module.getContext(), value);
  auto *global = new llvm::GlobalVariable(module, data->getType(), true, llvm::GlobalValue::PrivateLinkage, data);
  global->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
  return global;
}

/// llmc_model_constants and its variants; the order is that of the structs in llmc_artifact.h.
void addConstants(ModuleOp module, const Target &target, llvm::Function *step, llvm::Module &into) {
  llvm::LLVMContext &c = into.getContext();
  auto *i64 = llvm::Type::getInt64Ty(c);
  auto *ptr = llvm::PointerType::get(c, 0);
  auto *variantType = llvm::StructType::get(c, {ptr, i64, ptr, ptr});
  auto *variant = llvm::ConstantStruct::get(variantType, {text(into, target.name),
                                                          llvm::ConstantInt::get(i64, target.features.raw()),
                                                          text(into, toString(target.features)), step});
  auto *variants = new llvm::GlobalVariable(into, variantType, true, llvm::GlobalValue::PrivateLinkage, variant);
  static_assert(sizeof(llmc_model_constants) == 14 * 8 && sizeof(llmc_variant) == 4 * 8);
  llvm::SmallVector<llvm::Constant *> fields;
  for (llvm::StringRef name :
       {llvm::StringRef(llm::kVocab), llvm::StringRef(llm::kLayers), llvm::StringRef(llm::kHidden),
        llvm::StringRef(llm::kMaxContext), llvm::StringRef(kPageBytes), llvm::StringRef(kArenaRowBytes),
        llvm::StringRef(kLogitArenaRowBytes), llvm::StringRef(kLogitsOffset), llvm::StringRef(kLogitsStride),
        llvm::StringRef(kWeightBytes), llvm::StringRef(kKvBits), llvm::StringRef(kPartialBytes)}) {
    auto value = module->getAttrOfType<IntegerAttr>(name);
    fields.push_back(llvm::ConstantInt::get(i64, value ? value.getInt() : 0));
  }
  fields.push_back(llvm::ConstantInt::get(i64, 1));
  fields.push_back(variants);
  llvm::SmallVector<llvm::Type *> types(13, i64);
  types.push_back(ptr);
  auto *type = llvm::StructType::get(c, types);
  auto *constants = new llvm::GlobalVariable(into, type, true, llvm::GlobalValue::ExternalLinkage,
                                             llvm::ConstantStruct::get(type, fields), "llmc_model_constants");
  constants->setVisibility(llvm::GlobalValue::HiddenVisibility);
}

/// The note that `llmc inspect` and the runtime read; the writer patches the description in the file.
void addNote(llvm::Module &into) {
  into.appendModuleInlineAsm(llvm::formatv(R"(.section .note.llmc,"a",@note
.p2align 3
.long 5
.long {0}
.long {1}
.asciz "llmc"
.p2align 3
.globl llmc_artifact
.type llmc_artifact,@object
llmc_artifact:
.asciz "LLMCART"
.long {2}
.zero {3}
.size llmc_artifact, {0}
.text)",
                                           sizeof(llmc_artifact), int(LLMC_NOTE_TYPE), int(LLMC_ARTIFACT_VERSION),
                                           sizeof(llmc_artifact) - 12)
                                 .str());
}

} // namespace

llvm::Expected<std::unique_ptr<llvm::Module>> buildLlvmModule(ModuleOp module, const Target &target,
                                                              llvm::LLVMContext &context) {
  auto machine = createTargetMachine(target);
  if (!machine) return machine.takeError();
  llvm::Expected<std::unique_ptr<llvm::Module>> made = translateLlvmOps(module, context);
  if (!made) return made.takeError();
  llvm::Module &m = **made;
  m.setTargetTriple((*machine)->getTargetTriple());
  m.setDataLayout((*machine)->createDataLayout());
  llvm::Function *step = nullptr;
  for (auto func : module.getOps<LLVM::LLVMFuncOp>())
    if (func->hasAttr("llmc.step")) step = m.getFunction(func.getSymName());
  if (!step) return llvm::createStringError("expected a lowered step function");
  step->setVisibility(llvm::GlobalValue::HiddenVisibility);
  if (llvm::Function *barrier = m.getFunction("llmc_step_barrier"))
    barrier->setVisibility(llvm::GlobalValue::HiddenVisibility);
  if (llvm::Error error = addKernels(module, target, m)) return std::move(error);
  addConstants(module, target, step, m);
  addNote(m);
  for (llvm::Function &function : m)
    if (!function.isDeclaration()) setTargetAttributes(function, target);
  optimiseModule(m, **machine);
  return made;
}

} // namespace llmc
