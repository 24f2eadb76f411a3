// Sinks, and the checksum against one computed piece by piece.
#include "WeightModule.h"
#include "llvm/Support/xxhash.h"
#include <gtest/gtest.h>

using namespace llmc;
using namespace llmc::test;

namespace {

TEST(WeightSink, FileSinkWritesFromItsBase) {
  TemporaryFile file;
  FileSink sink(file.fd, 100);
  llvm::cantFail(sink.write(5, {1, 2, 3}));
  uint8_t read[4] = {};
  ASSERT_EQ(pread(file.fd, read, 4, 104), 4);
  EXPECT_EQ(std::vector<uint8_t>(read, read + 4), (std::vector<uint8_t>{0, 1, 2, 3}));
  FileSink closed(-1, 0);
  EXPECT_EQ(llvm::toString(closed.write(0, {1})), "write of weights: Bad file descriptor");
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
  FileSink sink(file.fd, 64);
  llvm::cantFail(sink.write(0, bytes));
  for (unsigned threads : {1, 2})
    EXPECT_EQ(llvm::cantFail(weightsChecksum(file.fd, 64, bytes.size(), threads)), weightsChecksum(bytes));
  auto beyond = weightsChecksum(file.fd, 64, bytes.size() + 1);
  ASSERT_FALSE(bool(beyond));
  EXPECT_NE(llvm::toString(beyond.takeError()).find("found the end of the file"), std::string::npos);
  EXPECT_EQ(weightsChecksum({}), llvm::xxh3_64bits(llvm::ArrayRef<uint8_t>()));
}

} // namespace
