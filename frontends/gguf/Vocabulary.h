// The tokenizer of a GGUF file -> text assets.
#pragma once
#include "frontends/ImportedModel.h"
#include "frontends/gguf/Metadata.h"

namespace llmc::gguf {

/// tokenizer.ggml.* as the vocabulary spec of frontends/text, the template and the special ids. A file without a
/// tokenizer gives empty assets. With one, it must have as many tokens as the embedding has rows (`vocab`).
TextAssets readVocabulary(Metadata &metadata, int64_t vocab);

} // namespace llmc::gguf
