// The artifact file: what is appended to the ELF, and reading it back as data.
#pragma once
#include "llmc_artifact.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>

namespace llmc {

/// The texts of an artifact, in file order.
struct ArtifactTexts {
  std::string metadata, tokenizer, chatTemplate, report;
};

/// Alignment of the weights in the file, bytes: a huge page.
inline constexpr uint64_t kWeightsAlign = uint64_t(2) << 20;

/// Appends the texts to the ELF at `path` and makes room for `weightBytes` of weights; returns the note to be finished,
/// with all offsets set.
llvm::Expected<llmc_artifact> appendTexts(const std::string &path, const ArtifactTexts &texts, uint64_t weightBytes);

/// Computes the checksums of the finished file and writes the note into it.
llvm::Error sealArtifact(const std::string &path, llmc_artifact note);

/// A read and checked artifact: sizes, checksums of texts and weights, build id. Nothing of it is executed. Errors name
/// the file and what is wrong (not an artifact, truncated, altered, another version).
struct ArtifactFile {
  llmc_artifact note;
  ArtifactTexts texts;
};
llvm::Expected<ArtifactFile> readArtifact(const std::string &path);

/// Whether the file is an ELF with the note of an artifact.
bool looksLikeArtifact(const std::string &path);

} // namespace llmc
