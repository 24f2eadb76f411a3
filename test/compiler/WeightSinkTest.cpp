// Sinks, and the checksum against one computed piece by piece.
#include "WeightModule.h"
#include "llvm/Support/xxhash.h"
#include <atomic>
#include <gtest/gtest.h>
#include <thread>

using namespace llmc;
using namespace llmc::test;

namespace {

TEST(WeightSink, FileSinkWritesFromItsBase) {
  TemporaryFile file;
  FileSink sink(file.fd, 100, 8);
  llvm::cantFail(sink.write(5, {1, 2, 3}));
  uint8_t read[4] = {};
  ASSERT_EQ(pread(file.fd, read, 4, 104), 4);
  EXPECT_EQ(std::vector<uint8_t>(read, read + 4), (std::vector<uint8_t>{0, 1, 2, 3}));
  FileSink closed(-1, 0, 1);
  EXPECT_EQ(llvm::toString(closed.write(0, {1})), "write of weights: Bad file descriptor");
}

/// Whole blocks are gathered, some of them not for long enough: the file must be as if they were not.
TEST(WeightSink, FileSinkKeepsBytesOfAllThreadsAndAddsNone) {
  constexpr uint64_t kBase = 4 << 20, kSize = (45 << 20) + 12345, kPiece = 300'007,
                     kPieces = (kSize + kPiece - 1) / kPiece;
  std::vector<uint8_t> bytes(kSize);
  for (size_t i = 0; i < kSize; ++i) bytes[i] = uint8_t(1 + i % 251);
  TemporaryFile file;
  FileSink sink(file.fd, kBase, kSize);
  std::atomic<uint64_t> next = 0;
  auto work = [&] {
    for (uint64_t i; (i = next++) < kPieces;) {
      uint64_t begin = i * 7 % kPieces * kPiece; // in another order than in the file
      llvm::cantFail(sink.write(begin, llvm::ArrayRef<uint8_t>(bytes).slice(begin, std::min(kPiece, kSize - begin))));
    }
  };
  std::thread other(work);
  work();
  other.join();
  llvm::cantFail(sink.finish());
  std::vector<uint8_t> read(kSize + 1);
  EXPECT_EQ(pread(file.fd, read.data(), read.size(), kBase), ssize_t(kSize));
  read.pop_back();
  EXPECT_TRUE(read == bytes);
}

TEST(WeightSink, FileSinkWritesBlocksWhole) {
  TemporaryFile file;
  FileSink sink(file.fd, 0, 5 << 20);
  std::vector<uint8_t> bytes(1 << 20, 7);
  auto size = [&] { return lseek(file.fd, 0, SEEK_END); };
  llvm::cantFail(sink.write(0, bytes));
  EXPECT_EQ(size(), 0);
  llvm::cantFail(sink.write(1 << 20, bytes));
  EXPECT_EQ(size(), 2 << 20);
  llvm::cantFail(sink.write((2 << 20) + 1, {7})); // one that lacks padding
  EXPECT_EQ(size(), 2 << 20);
  llvm::cantFail(sink.finish());
  EXPECT_EQ(size(), 4 << 20);
  llvm::cantFail(sink.write(4 << 20, {7})); // the short block at the end is not gathered
  EXPECT_EQ(size(), (4 << 20) + 1);
}

TEST(WeightSink, MemorySinkStaysInside) {
  std::vector<uint8_t> buffer(8);
  MemorySink sink(buffer);
  llvm::cantFail(sink.write(6, {1, 2}));
  EXPECT_EQ(buffer[7], 2);
  EXPECT_EQ(llvm::toString(sink.write(7, {1, 2})), "write of weights: found 2 bytes at 7, expected at most 8");
}

TEST(WeightsChecksum, IsTheHashOfTheHashesOfThePieces) {
  std::vector<uint8_t> bytes(2 * kChecksumChunk + 1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = uint8_t(i * 2654435761u >> 13);
  llvm::ArrayRef<uint8_t> all = bytes;
  std::vector<uint8_t> hashes;
  for (auto piece :
       {all.slice(0, kChecksumChunk), all.slice(kChecksumChunk, kChecksumChunk), all.slice(2 * kChecksumChunk)})
    for (int byte = 0; byte < 8; ++byte) hashes.push_back(uint8_t(llvm::xxh3_64bits(piece) >> 8 * byte));
  EXPECT_EQ(weightsChecksum(bytes), llvm::xxh3_64bits(llvm::ArrayRef<uint8_t>(hashes)));

  TemporaryFile file;
  FileSink sink(file.fd, 64, bytes.size());
  llvm::cantFail(sink.write(0, bytes));
  for (unsigned threads : {1, 2})
    EXPECT_EQ(llvm::cantFail(weightsChecksum(file.fd, 64, bytes.size(), threads)), weightsChecksum(bytes));
  auto beyond = weightsChecksum(file.fd, 64, bytes.size() + 1);
  ASSERT_FALSE(bool(beyond));
  EXPECT_NE(llvm::toString(beyond.takeError()).find("found the end of the file"), std::string::npos);
  EXPECT_EQ(weightsChecksum({}), llvm::xxh3_64bits(llvm::ArrayRef<uint8_t>()));
}

} // namespace
