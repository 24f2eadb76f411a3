// Where the weight program's bytes go.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>

namespace llmc {

/// Called from several threads at once, never twice for one byte. Offsets are within the weights blob.
struct WeightSink {
  virtual ~WeightSink();
  virtual llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) = 0;
};

/// A part of an open file, which starts at `base`. Does not own the descriptor.
class FileSink : public WeightSink {
public:
  FileSink(int fd, uint64_t base) : fd(fd), base(base) {}
  llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) override;

private:
  int fd;
  uint64_t base;
};

/// A buffer; a write outside of it is an error. Does not own the buffer.
class MemorySink : public WeightSink {
public:
  explicit MemorySink(llvm::MutableArrayRef<uint8_t> buffer) : buffer(buffer) {}
  llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) override;

private:
  llvm::MutableArrayRef<uint8_t> buffer;
};

/// Pieces of the checksum (llmc_artifact.h, weights_checksum).
inline constexpr uint64_t kChecksumChunk = uint64_t(16) << 20;
/// XXH3-64 of the little-endian XXH3-64 values of each 16 MiB of the bytes, the last piece as short as it is.
uint64_t weightsChecksum(llvm::ArrayRef<uint8_t> bytes);
/// The same of `bytes` bytes of a file from `offset`, in 16 MiB of memory per thread.
llvm::Expected<uint64_t> weightsChecksum(int fd, uint64_t offset, uint64_t bytes, unsigned threads = 1);

} // namespace llmc
