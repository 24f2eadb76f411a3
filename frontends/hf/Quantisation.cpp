#include "frontends/hf/Quantisation.h"
#include "frontends/File.h"
#include "llvm/ADT/StringExtras.h"

using nlohmann::json;

namespace llmc::hf {
namespace {

constexpr const char *kHint = "use the unquantised model or a GGUF file";

/// A name and what it stands for.
struct Layout {
  llvm::StringLiteral name;
  wq::Encoding encoding;
};

/// The layout that the text at `key` names; absent, the first one unless `required`.
wq::Encoding readLayout(Fields &fields, llvm::StringRef key, llvm::ArrayRef<Layout> layouts, bool required) {
  std::string name = required ? fields.text(key) : fields.text(key, layouts[0].name.str());
  for (const Layout &layout : layouts)
    if (layout.name.equals_insensitive(name)) return layout.encoding;
  std::string known = llvm::join(llvm::map_range(layouts, [](const Layout &l) { return l.name.str(); }), ", ");
  fields.fail(key, "'" + name + "'", "one of: " + known, kHint);
  return layouts[0].encoding;
}

void expectFalse(Fields &fields, llvm::StringRef key) {
  if (fields.boolean(key, false)) fields.fail(key, "true", "false", kHint);
}
void expectAbsent(Fields &fields, llvm::StringRef key) {
  const json *value = fields.find(key);
  if (value && !(value->is_object() && value->empty())) fields.fail(key, describe(*value), "null", kHint);
}

/// 16 is a layer that is not quantised, where `mayBePlain`.
int64_t readBits(Fields &fields, llvm::StringRef key, std::optional<int64_t> fallback, bool mayBePlain = false) {
  int64_t bits = fields.integer(key, 1, 64, fallback);
  if (bits == 4 || bits == 8 || (mayBePlain && bits >= 16)) return std::min<int64_t>(bits, 16);
  fields.fail(key, llvm::Twine(bits), mayBePlain ? "4, 8 or 16" : "4 or 8", kHint);
  return 4;
}
int64_t readGroup(Fields &fields, std::optional<int64_t> fallback) {
  int64_t group = fields.integer("group_size", -1, int64_t(1) << 20, fallback);
  if (group != -1 && (group < 16 || group % 16))
    fields.fail("group_size", llvm::Twine(group), "-1 or a multiple of 16", kHint);
  return group;
}

/// GPTQModel's rules by module pattern. "-:" rules only leave modules unquantised, which the tensors show.
void checkRules(Fields &fields) {
  const json *rules = fields.find("dynamic");
  if (!rules) return;
  if (!rules->is_object()) return fields.fail("dynamic", describe(*rules), "an object of rules");
  for (const auto &[pattern, rule] : rules->items())
    if (!llvm::StringRef(pattern).starts_with("-:") && !rule.empty())
      return fields.fail("dynamic", "a rule for '" + pattern + "'", "the same bits and groups everywhere", kHint);
}

void readGptq(llvm::StringRef, Fields &fields, Quantisation &out) {
  constexpr Layout kFormats[] = {{"gptq", wq::Encoding::Gptq}, {"gptq_v2", wq::Encoding::GptqV2}};
  out.encoding = readLayout(fields, "checkpoint_format", kFormats, /*required=*/false);
  expectFalse(fields, "is_marlin_format");
  checkRules(fields);
  out.usual = {readBits(fields, "bits", std::nullopt), readGroup(fields, 128)};
  out.actOrder = fields.boolean("desc_act", false);
}

void readAwq(llvm::StringRef, Fields &fields, Quantisation &out) {
  constexpr Layout kVersions[] = {{"gemm", wq::Encoding::Awq}};
  out.encoding = readLayout(fields, "version", kVersions, /*required=*/false);
  out.usual = {fields.integer("bits", 4, 4, 4), readGroup(fields, 128)};
}

/// `extra_config`: bits and groups of some modules.
void readExtraConfig(llvm::StringRef file, Fields &fields, Quantisation &out) {
  const json *extra = fields.find("extra_config");
  if (!extra) return;
  if (!extra->is_object()) return fields.fail("extra_config", describe(*extra), "an object of modules");
  for (const auto &[module, entry] : extra->items()) {
    Fields inner(file, entry, "quantization_config.extra_config." + module + ".");
    out.layers[module] = {readBits(inner, "bits", out.usual.bits, /*mayBePlain=*/true),
                          readGroup(inner, out.usual.group)};
    if (llvm::Error error = inner.takeError()) return fields.fail(std::move(error));
  }
}

void readAutoRound(llvm::StringRef file, Fields &fields, Quantisation &out) {
  // auto_round/inference: GPTQ_FORMAT, AWQ_FORMAT and GPTQ_FORMAT_NO_ZP, whose zeros are stored as they are.
  constexpr Layout kFormats[] = {{"auto_round:auto_gptq", wq::Encoding::Gptq},
                                 {"auto_round:auto_awq", wq::Encoding::Awq},
                                 {"auto_round:gptqmodel", wq::Encoding::GptqV2},
                                 {"auto_round", wq::Encoding::GptqV2}};
  out.encoding = readLayout(fields, "packing_format", kFormats, /*required=*/true);
  if (std::string type = fields.text("data_type", "int"); type != "int")
    fields.fail("data_type", "'" + type + "'", "int", kHint);
  if (fields.integer("act_bits", 1, 64, 16) < 16) fields.fail("act_bits", "fewer than 16", "16", kHint);
  out.usual = {readBits(fields, "bits", std::nullopt), readGroup(fields, 128)};
  readExtraConfig(file, fields, out);
}

void readCompressedWeights(Fields &fields, Quantisation &out) {
  if (std::string type = fields.text("type", "int"); type != "int") fields.fail("type", "'" + type + "'", "int", kHint);
  std::string strategy = fields.text("strategy", "group");
  if (strategy != "group" && strategy != "channel")
    fields.fail("strategy", "'" + strategy + "'", "group or channel", kHint);
  expectFalse(fields, "dynamic");
  out.usual.bits = readBits(fields, "num_bits", std::nullopt);
  out.usual.group = strategy == "channel" ? -1 : readGroup(fields, std::nullopt);
  out.symmetric = fields.boolean("symmetric", true);
}

void readCompressedTensors(llvm::StringRef file, Fields &fields, Quantisation &out) {
  constexpr Layout kFormats[] = {{"pack-quantized", wq::Encoding::CompressedTensors}};
  out.encoding = readLayout(fields, "format", kFormats, /*required=*/true);
  expectAbsent(fields, "kv_cache_scheme");
  if (const json *sparsity = fields.find("sparsity_config"); sparsity && !sparsity->empty()) {
    Fields inner(file, *sparsity, "quantization_config.sparsity_config.");
    if (std::string format = inner.text("format"); format != "dense")
      inner.fail("format", "'" + format + "'", "dense", kHint);
    if (llvm::Error error = inner.takeError()) return fields.fail(std::move(error));
  }
  const json *groups = fields.find("config_groups");
  if (!groups || !groups->is_object() || groups->size() != 1)
    return fields.fail("config_groups",
                       groups && groups->is_object() ? std::to_string(groups->size()) + " groups"
                       : groups                      ? describe(*groups)
                                                     : "nothing",
                       "one group of modules", kHint);
  std::string prefix = "quantization_config.config_groups." + groups->begin().key() + ".";
  Fields group(file, groups->begin().value(), prefix);
  expectAbsent(group, "input_activations");
  expectAbsent(group, "output_activations");
  if (const json *weights = group.find("weights")) {
    Fields inner(file, *weights, prefix + "weights.");
    readCompressedWeights(inner, out);
    if (llvm::Error error = inner.takeError()) group.fail(std::move(error));
  } else {
    group.fail("weights", "nothing", "an object");
  }
  if (llvm::Error error = group.takeError()) fields.fail(std::move(error));
}

void readBitsAndBytes(llvm::StringRef, Fields &fields, Quantisation &out) {
  constexpr Layout kTypes[] = {{"nf4", wq::Encoding::Nf4}};
  if (!fields.boolean("load_in_4bit", false))
    return fields.fail("load_in_4bit", "false", "true", llvm::Twine("8-bit checkpoints are not read; ") + kHint);
  out.encoding = readLayout(fields, "bnb_4bit_quant_type", kTypes, /*required=*/true);
}

struct Method {
  llvm::StringLiteral name;
  void (*read)(llvm::StringRef file, Fields &fields, Quantisation &out);
};
constexpr Method kMethods[] = {{"gptq", readGptq},
                               {"awq", readAwq},
                               {"auto-round", readAutoRound},
                               {"intel/auto-round", readAutoRound},
                               {"compressed-tensors", readCompressedTensors},
                               {"bitsandbytes", readBitsAndBytes}};

std::string methodOf(Fields &fields) {
  // Old bitsandbytes configs have no quant_method.
  bool named = fields.has("quant_method") || !(fields.has("load_in_4bit") || fields.has("load_in_8bit"));
  return named ? fields.text("quant_method") : "bitsandbytes";
}
} // namespace

llvm::Expected<std::optional<Quantisation>> readQuantisation(llvm::StringRef file, Fields &config) {
  for (const char *key : {"quantization_config", "compression_config"}) {
    const json *found = config.find(key);
    if (!found || (found->is_object() && found->empty())) continue;
    Fields fields(file, *found, std::string(key) + ".");
    Quantisation result;
    result.method = methodOf(fields);
    const Method *method = llvm::find_if(kMethods, [&](const Method &m) { return m.name == result.method; });
    if (method != std::end(kMethods))
      method->read(file, fields, result);
    else
      fields.fail("quant_method", "'" + result.method + "'",
                  "one of: " +
                      llvm::join(llvm::map_range(kMethods, [](const Method &m) { return m.name.str(); }), ", "),
                  kHint);
    if (llvm::Error error = fields.takeError()) return error;
    return result;
  }
  return std::nullopt;
}

} // namespace llmc::hf
