#include "compiler/WeightSink.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/xxhash.h"
#include <atomic>
#include <cstring>
#include <thread>
#include <unistd.h>

namespace llmc {

WeightSink::~WeightSink() = default;

static llvm::Error systemError(const char *what) {
  return llvm::createStringError(std::string(what) + ": " + strerror(errno));
}

static constexpr uint64_t kBlock = uint64_t(2) << 20; // a huge page
/// Weights come nearly in order, so that the oldest of these lacks nothing but padding, which nobody writes.
static constexpr size_t kMostBlocks = 16;

FileSink::FileSink(int fd, uint64_t base, uint64_t size)
    : fd(fd), base(base), written(base % kBlock == 0 ? size / kBlock : 0) {}

llvm::Error FileSink::writeAll(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
  for (uint64_t position = base + offset; !bytes.empty();) {
    ssize_t count = pwrite(fd, bytes.data(), bytes.size(), off_t(position));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return systemError("write of weights");
    bytes = bytes.drop_front(count);
    position += count;
  }
  return llvm::Error::success();
}

/// Bytes of one block.
llvm::Error FileSink::writePart(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
  uint64_t number = offset / kBlock;
  std::unique_lock lock(mutex);
  if (number >= written.size() || written[number]) {
    lock.unlock();
    return writeAll(offset, bytes);
  }
  Block &block = blocks[number];
  block.bytes.resize(kBlock);
  memcpy(block.bytes.data() + offset % kBlock, bytes.data(), bytes.size());
  block.filled += bytes.size();
  if (block.filled == kBlock) {
    Block full = std::move(block);
    blocks.erase(number);
    written[number] = true;
    lock.unlock();
    return writeAll(number * kBlock, full.bytes);
  }
  if (blocks.size() <= kMostBlocks) return llvm::Error::success();
  // With the lock: what still comes for this block must come later.
  auto oldest = blocks.begin();
  written[oldest->first] = true;
  llvm::Error error = writeAll(oldest->first * kBlock, oldest->second.bytes);
  blocks.erase(oldest);
  return error;
}

llvm::Error FileSink::write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    uint64_t count = std::min<uint64_t>(bytes.size(), kBlock - offset % kBlock);
    if (llvm::Error error = writePart(offset, bytes.take_front(count))) return error;
    bytes = bytes.drop_front(count);
    offset += count;
  }
  return llvm::Error::success();
}

llvm::Error FileSink::finish() {
  for (const auto &[number, block] : blocks)
    if (llvm::Error error = writeAll(number * kBlock, block.bytes)) return error;
  blocks.clear();
  return llvm::Error::success();
}

llvm::Error MemorySink::write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
  if (offset > buffer.size() || bytes.size() > buffer.size() - offset)
    return llvm::createStringError("write of weights: found " + std::to_string(bytes.size()) + " bytes at " +
                                   std::to_string(offset) + ", expected at most " + std::to_string(buffer.size()));
  memcpy(buffer.data() + offset, bytes.data(), bytes.size());
  return llvm::Error::success();
}

static llvm::Error readAll(int fd, uint64_t offset, llvm::MutableArrayRef<uint8_t> out) {
  while (!out.empty()) {
    ssize_t count = pread(fd, out.data(), out.size(), off_t(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return systemError("read of weights");
    if (count == 0)
      return llvm::createStringError("read of weights: found the end of the file at " + std::to_string(offset) +
                                     ", expected more weights");
    out = out.drop_front(count);
    offset += count;
  }
  return llvm::Error::success();
}

static uint64_t combine(std::vector<uint64_t> &pieces) {
  for (uint64_t &piece : pieces) llvm::support::endian::write64le(&piece, piece);
  return llvm::xxh3_64bits({reinterpret_cast<const uint8_t *>(pieces.data()), pieces.size() * sizeof(uint64_t)});
}

uint64_t weightsChecksum(llvm::ArrayRef<uint8_t> bytes) {
  std::vector<uint64_t> pieces;
  for (; !bytes.empty(); bytes = bytes.drop_front(std::min<uint64_t>(kChecksumChunk, bytes.size())))
    pieces.push_back(llvm::xxh3_64bits(bytes.take_front(kChecksumChunk)));
  return combine(pieces);
}

llvm::Expected<uint64_t> weightsChecksum(int fd, uint64_t offset, uint64_t bytes, unsigned threads) {
  std::vector<uint64_t> pieces((bytes + kChecksumChunk - 1) / kChecksumChunk);
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  llvm::Error failure = llvm::Error::success();
  auto work = [&] {
    std::vector<uint8_t> buffer(std::min(bytes, kChecksumChunk));
    for (size_t i; (i = next++) < pieces.size();) {
      uint64_t begin = i * kChecksumChunk;
      llvm::MutableArrayRef<uint8_t> piece(buffer.data(), std::min(kChecksumChunk, bytes - begin));
      if (llvm::Error error = readAll(fd, offset + begin, piece)) {
        std::lock_guard lock(mutex);
        failure = llvm::joinErrors(std::move(failure), std::move(error));
        next = pieces.size();
        return;
      }
      pieces[i] = llvm::xxh3_64bits(piece);
    }
  };
  std::vector<std::thread> team;
  for (unsigned t = 1; t < threads; ++t) team.emplace_back(work);
  work();
  for (std::thread &t : team) t.join();
  if (failure) return failure;
  return combine(pieces);
}

} // namespace llmc
