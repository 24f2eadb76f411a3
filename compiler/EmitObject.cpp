#include "compiler/EmitObject.h"
#include "codegen/portable/Compile.h"
#include "codegen/portable/LlvmTarget.h"
#include "compiler/GraphArtifact.h"
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

/// Kernels of several variants share names: all but the first variant's get the target's behind theirs.
std::string kernelName(llvm::StringRef symbol, llvm::StringRef suffix) { return ("kernel_" + symbol + suffix).str(); }

llvm::Error addKernels(ModuleOp module, const Target &target, llvm::StringRef suffix, llvm::Module &into) {
  for (auto func : module.getOps<kernel::FuncOp>()) {
    llvm::Expected<Code> code = emitKernel(func, target);
    if (!code) return code.takeError();
    std::string name = kernelName(func.getSymName(), suffix);
    if (llvm::Function *declaration = into.getFunction(kernelName(func.getSymName(), ""))) {
      declaration->setName(name);
      declaration->setVisibility(llvm::GlobalValue::HiddenVisibility);
    }
    if (code->bytes.empty()) {
      if (llvm::Error error = linkPortable(into, name, code->mlir, target)) return error;
    } else {
      into.appendModuleInlineAsm(functionAsm(name, *code));
    }
  }
  return llvm::Error::success();
}

LLVM::LLVMFuncOp stepOf(ModuleOp module) {
  for (auto func : module.getOps<LLVM::LLVMFuncOp>())
    if (func->hasAttr("llmc.step")) return func;
  return {};
}

int64_t number(ModuleOp module, llvm::StringRef name) {
  auto value = module->getAttrOfType<IntegerAttr>(name);
  return value ? value.getInt() : 0;
}

/// llmc_model_constants and its variants; the order is that of the structs in llmc_artifact.h.
class Constants {
public:
  explicit Constants(llvm::Module &into)
      : into(into), i64(llvm::Type::getInt64Ty(into.getContext())), ptr(llvm::PointerType::get(into.getContext(), 0)) {}

  void add(ModuleOp model, llvm::ArrayRef<Variant> variants) {
    static_assert(sizeof(llmc_model_constants) == 10 * 8 && sizeof(llmc_variant) == 12 * 8);
    llvm::SmallVector<llvm::Constant *> entries, fields;
    for (const Variant &variant : variants) entries.push_back(entry(variant, isGraph(model)));
    auto *array = llvm::ConstantArray::get(llvm::ArrayType::get(entries.front()->getType(), entries.size()), entries);
    auto *table = new llvm::GlobalVariable(into, array->getType(), true, llvm::GlobalValue::PrivateLinkage, array);
    for (llvm::StringRef name : {llm::kVocab, llm::kLayers, llm::kHidden, llm::kMaxContext})
      fields.push_back(constant(number(model, name)));
    fields.push_back(constant(number(*variants.front().module, kPageBytes)));
    fields.push_back(constant(number(model, kWeightBytes)));
    fields.push_back(constant(number(*variants.front().module, kKvBits)));
    fields.push_back(constant(int64_t(variants.size())));
    fields.push_back(table);
    fields.push_back(isGraph(model) ? graphConstants(into, model) : llvm::ConstantPointerNull::get(ptr));
    llvm::Constant *constants = llvm::ConstantStruct::getAnon(fields);
    auto *global = new llvm::GlobalVariable(into, constants->getType(), true, llvm::GlobalValue::ExternalLinkage,
                                            constants, "llmc_model_constants");
    global->setVisibility(llvm::GlobalValue::HiddenVisibility);
  }

private:
  llvm::Constant *entry(const Variant &variant, bool graph) {
    llvm::Constant *code = into.getFunction(stepOf(*variant.module).getSymName());
    llvm::Constant *none = llvm::ConstantPointerNull::get(ptr);
    llvm::SmallVector<llvm::Constant *> fields = {
        textConstant(into, variant.target.name), constant(int64_t(variant.target.features.raw())),
        textConstant(into, toString(variant.target.features)), graph ? none : code, graph ? code : none};
    for (llvm::StringRef name : {kArenaRowBytes, kLogitArenaRowBytes, kLogitsOffset, kLogitsStride, kPrivateBytes,
                                 kMatmulCalls, kPartialBytes})
      fields.push_back(constant(number(*variant.module, name)));
    return llvm::ConstantStruct::getAnon(fields);
  }
  llvm::Constant *constant(int64_t value) { return llvm::ConstantInt::get(i64, value); }

  llvm::Module &into;
  llvm::Type *i64;
  llvm::PointerType *ptr;
};

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

/// The step and the kernels of one target.
llvm::Expected<std::unique_ptr<llvm::Module>> buildVariant(const Variant &variant, llvm::StringRef suffix,
                                                           const llvm::TargetMachine &machine,
                                                           llvm::LLVMContext &context) {
  LLVM::LLVMFuncOp step = stepOf(*variant.module);
  if (!step) return llvm::createStringError("expected a lowered step function");
  llvm::Expected<std::unique_ptr<llvm::Module>> made = translateLlvmOps(*variant.module, context);
  if (!made) return made.takeError();
  llvm::Module &m = **made;
  m.setTargetTriple(machine.getTargetTriple());
  m.setDataLayout(machine.createDataLayout());
  for (llvm::StringRef name :
       {step.getSymName(), llvm::StringRef("llmc_step_barrier"), llvm::StringRef("llmc_step_panels"),
        llvm::StringRef("llmc_step_experts"), llvm::StringRef("llmc_graph_alloc"), llvm::StringRef("llmc_graph_free"),
        llvm::StringRef("llmc_graph_fail")})
    if (llvm::Function *function = m.getFunction(name)) function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  if (llvm::Error error = addKernels(*variant.module, variant.target, suffix, m)) return std::move(error);
  for (llvm::Function &function : m)
    if (!function.isDeclaration()) setTargetAttributes(function, variant.target);
  return made;
}

} // namespace

llvm::Expected<std::unique_ptr<llvm::Module>> buildLlvmModule(ModuleOp model, llvm::ArrayRef<Variant> variants,
                                                              llvm::LLVMContext &context) {
  // Code of the least demanding target where a function does not say otherwise: all that is emitted here does.
  auto machine = createTargetMachine(variants.back().target);
  if (!machine) return machine.takeError();
  std::unique_ptr<llvm::Module> whole;
  for (const Variant &variant : variants) {
    // Sequences and the sizes of a context are the model's, whatever code runs.
    for (llvm::StringRef name : {kPageBytes, kKvBits})
      if (int64_t found = number(*variant.module, name), expected = number(*variants.front().module, name);
          found != expected)
        return llvm::createStringError(variant.target.name + ": found " + name.str() + " " + std::to_string(found) +
                                       ", expected " + std::to_string(expected) + " as for " +
                                       variants.front().target.name);
    std::string suffix = whole ? "_" + variant.target.name : "";
    std::replace(suffix.begin(), suffix.end(), '-', '_');
    auto made = buildVariant(variant, suffix, **machine, context);
    if (!made) return made.takeError();
    if (!whole)
      whole = std::move(*made);
    else if (llvm::Linker::linkModules(*whole, std::move(*made)))
      return llvm::createStringError(variant.target.name + ": does not link");
  }
  Constants(*whole).add(model, variants);
  addNote(*whole);
  optimiseModule(*whole, **machine);
  return whole;
}

} // namespace llmc
