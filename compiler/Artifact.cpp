#include "compiler/Artifact.h"
#include "compiler/WeightSink.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"
#include <cstring>
#include <optional>
#include <unistd.h>

namespace llmc {
namespace {

constexpr llvm::StringLiteral kNoteSection = ".note.llmc";

llvm::Error fault(const std::string &path, const llvm::Twine &what) {
  return llvm::createStringError(path + ": " + what);
}

llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> mapFile(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer) return fault(path, buffer.getError().message());
  return std::move(*buffer);
}

/// Offset of the note's description in the file, if this is an ELF that has one.
std::optional<uint64_t> findNote(llvm::MemoryBufferRef file) {
  auto object = llvm::object::ObjectFile::createELFObjectFile(file);
  if (!object) {
    llvm::consumeError(object.takeError());
    return std::nullopt;
  }
  for (const llvm::object::ELFSectionRef section :
       static_cast<llvm::object::ELFObjectFileBase &>(**object).sections()) {
    llvm::Expected<llvm::StringRef> name = section.getName();
    if (!name) {
      llvm::consumeError(name.takeError());
      return std::nullopt;
    }
    constexpr uint64_t header = 24; // three words, "llmc" and padding to 8
    uint64_t offset = section.getOffset();
    if (*name != kNoteSection) continue;
    if (section.getSize() < header + sizeof(llmc_artifact) || offset > file.getBufferSize() ||
        file.getBufferSize() - offset < header + sizeof(llmc_artifact))
      return std::nullopt;
    return offset + header;
  }
  return std::nullopt;
}

llvm::StringRef slice(llvm::MemoryBufferRef file, llmc_blob blob) {
  return file.getBuffer().substr(blob.offset, blob.size);
}

uint64_t textChecksum(llvm::MemoryBufferRef file, const llmc_artifact &note) {
  const llmc_blob &first = note.metadata, &last = note.report;
  return llvm::xxh3_64bits(file.getBuffer().substr(first.offset, last.offset + last.size - first.offset));
}

/// Read in pieces, so that a large artifact does not become resident.
llvm::Expected<uint64_t> checksumWeights(const std::string &path, const llmc_artifact &note) {
  llvm::Expected<llvm::sys::fs::file_t> fd = llvm::sys::fs::openNativeFileForRead(path);
  if (!fd) return fd.takeError();
  auto sum = weightsChecksum(*fd, note.weights.offset, note.weights.size);
  llvm::sys::fs::closeFile(*fd);
  return sum;
}

/// Of the code (with the note's description as zeros) and the other checksums.
void computeBuildId(llvm::MemoryBufferRef file, uint64_t noteOffset, const llmc_artifact &note, uint8_t (&id)[16]) {
  std::string code = file.getBuffer().substr(0, note.metadata.offset).str();
  memset(code.data() + noteOffset, 0, sizeof(llmc_artifact));
  code.append(reinterpret_cast<const char *>(&note.weights_checksum), 8);
  code.append(reinterpret_cast<const char *>(&note.text_checksum), 8);
  llvm::XXH128_hash_t hash = llvm::xxh3_128bits({reinterpret_cast<const uint8_t *>(code.data()), code.size()});
  memcpy(id, &hash.low64, 8);
  memcpy(id + 8, &hash.high64, 8);
}

/// What is wrong with the places that the note names; empty if nothing.
std::string checkNote(const llmc_artifact &note, uint64_t fileSize) {
  if (memcmp(note.magic, "LLMCART", 8)) return "found no llmc artifact";
  if (note.version != LLMC_ARTIFACT_VERSION)
    return "found artifact version " + std::to_string(note.version) + ", expected " +
           std::to_string(LLMC_ARTIFACT_VERSION) + "; compile the model again";
  if (note.file_size != fileSize)
    return "found " + std::to_string(fileSize) + " bytes, expected " + std::to_string(note.file_size) +
           "; the file is truncated or was altered";
  uint64_t end = 0;
  for (const llmc_blob &blob : {note.metadata, note.tokenizer, note.chat_template, note.report, note.weights}) {
    if (blob.offset < end || blob.offset > fileSize || fileSize - blob.offset < blob.size)
      return "the note names bytes outside the file; it was altered";
    end = blob.offset + blob.size;
  }
  return "";
}

} // namespace

llvm::Expected<llmc_artifact> appendTexts(const std::string &path, const ArtifactTexts &texts, uint64_t weightBytes) {
  uint64_t size;
  if (std::error_code error = llvm::sys::fs::file_size(path, size)) return fault(path, error.message());
  llmc_artifact note = {};
  memcpy(note.magic, "LLMCART", 8);
  note.version = LLMC_ARTIFACT_VERSION;
  std::error_code error;
  llvm::raw_fd_ostream os(path, error, llvm::sys::fs::CD_OpenExisting, llvm::sys::fs::FA_Write,
                          llvm::sys::fs::OF_Append);
  if (error) return fault(path, error.message());
  auto append = [&](const std::string &text) {
    llmc_blob blob = {size, text.size()};
    os << text;
    size += text.size();
    return blob;
  };
  note.metadata = append(texts.metadata);
  note.tokenizer = append(texts.tokenizer);
  note.chat_template = append(texts.chatTemplate);
  note.report = append(texts.report);
  note.weights = {llvm::alignTo(size, kWeightsAlign), weightBytes};
  note.file_size = note.weights.offset + weightBytes;
  os.close();
  if (os.has_error()) {
    os.clear_error();
    return fault(path, "cannot be written");
  }
  if (truncate(path.c_str(), off_t(note.file_size))) return fault(path, "no room for the weights");
  return note;
}

llvm::Error sealArtifact(const std::string &path, llmc_artifact note) {
  auto buffer = mapFile(path);
  if (!buffer) return buffer.takeError();
  llvm::MemoryBufferRef file = **buffer;
  std::optional<uint64_t> offset = findNote(file);
  if (!offset) return fault(path, "the linked file has no note");
  note.text_checksum = textChecksum(file, note);
  llvm::Expected<uint64_t> weights = checksumWeights(path, note);
  if (!weights) return weights.takeError();
  note.weights_checksum = *weights;
  computeBuildId(file, *offset, note, note.build_id);
  std::error_code error;
  llvm::raw_fd_ostream os(path, error, llvm::sys::fs::CD_OpenExisting, llvm::sys::fs::FA_Write, llvm::sys::fs::OF_None);
  if (error) return fault(path, error.message());
  os.pwrite(reinterpret_cast<const char *>(&note), sizeof note, *offset);
  os.close();
  if (os.has_error()) {
    os.clear_error();
    return fault(path, "cannot be written");
  }
  return llvm::Error::success();
}

llvm::Expected<ArtifactFile> readArtifact(const std::string &path) {
  auto buffer = mapFile(path);
  if (!buffer) return buffer.takeError();
  llvm::MemoryBufferRef file = **buffer;
  std::optional<uint64_t> offset = findNote(file);
  if (!offset) return fault(path, "found no note " + kNoteSection + ", expected an artifact of llmc compile");
  ArtifactFile read;
  memcpy(&read.note, file.getBufferStart() + *offset, sizeof read.note);
  const llmc_artifact &note = read.note;
  if (std::string wrong = checkNote(note, file.getBufferSize()); !wrong.empty()) return fault(path, wrong);
  if (note.metadata.offset < *offset + sizeof note)
    return fault(path, "the note names bytes of the code; it was altered");
  if (textChecksum(file, note) != note.text_checksum)
    return fault(path, "texts: the checksum differs; the file was altered");
  llvm::Expected<uint64_t> weights = checksumWeights(path, note);
  if (!weights) return weights.takeError();
  if (*weights != note.weights_checksum) return fault(path, "weights: the checksum differs; the file was altered");
  uint8_t id[16];
  computeBuildId(file, *offset, note, id);
  if (memcmp(id, note.build_id, sizeof id)) return fault(path, "code: the build id differs; the file was altered");
  read.texts = {slice(file, note.metadata).str(), slice(file, note.tokenizer).str(),
                slice(file, note.chat_template).str(), slice(file, note.report).str()};
  return read;
}

bool looksLikeArtifact(const std::string &path) {
  auto buffer = mapFile(path);
  if (!buffer) {
    llvm::consumeError(buffer.takeError());
    return false;
  }
  return findNote(**buffer).has_value();
}

} // namespace llmc
