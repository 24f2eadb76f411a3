// The tokenizer, chat template and special ids of a model folder.
#pragma once
#include "frontends/ImportedModel.h"
#include "frontends/hf/Config.h"
#include "frontends/hf/Folder.h"

namespace llmc::hf {

/// tokenizer.json as it is; the chat template of chat_template.jinja, else of tokenizer_config.json (of a list, the one
/// called "default"); special tokens of tokenizer_config.json, else of special_tokens_map.json; end-of-text ids of
/// generation_config.json, else of config.json. Any of the files may be absent.
llvm::Expected<TextAssets> readText(const Folder &folder, const Config &config);

} // namespace llmc::hf
