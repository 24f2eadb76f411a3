// Where the weight program's bytes go.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace llmc {

/// Called from several threads at once, never twice for one byte. Offsets are within the weights blob.
struct WeightSink {
  virtual ~WeightSink();
  virtual llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) = 0;
  /// After the last write: then all bytes are where they belong.
  virtual llvm::Error finish() { return llvm::Error::success(); }
};

/// `size` bytes of an open file, which start at `base`. Does not own the descriptor.
///
/// File systems with large folios (ext4 and xfs of recent kernels) cache a file in pages as large as the write that
/// made them, and map those of 2 MB by one entry. So the 2 MB blocks of the file are gathered and written whole:
/// decoding from such a file is 1.08 times as fast (runtime/README.md).
class FileSink : public WeightSink {
public:
  FileSink(int fd, uint64_t base, uint64_t size);
  llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) override;
  llvm::Error finish() override;

private:
  struct Block {
    std::vector<uint8_t> bytes;
    uint64_t filled = 0;
  };
  llvm::Error writeAll(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);
  llvm::Error writePart(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);

  int fd;
  uint64_t base;
  std::mutex mutex;
  std::map<uint64_t, Block> blocks; // being gathered, by number
  std::vector<bool> written;        // whole blocks of the part; what still comes for one goes straight to the file
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
