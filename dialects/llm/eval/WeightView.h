// The rows of an llm.weight inside its file's bytes: the only place that knows what its view attributes mean.
#pragma once
#include "dialects/llm/Llm.h"
#include "dialects/wq/codecs/Codecs.h"

namespace llmc::llm {

/// An input file that is in memory (or mapped); `name` is for messages.
struct InputFile {
  std::string name;
  llvm::ArrayRef<uint8_t> bytes;
};

/// A weight of `rows` rows of `k` elements; a vector [N] is N rows of one. Refers to the files' bytes, copies nothing.
class WeightView {
public:
  /// Fails if a part lies outside its file (`truncated`), or if its size is not that of the stored rows.
  static llvm::Expected<WeightView> create(WeightOp op, llvm::ArrayRef<InputFile> files);

  int64_t rows() const { return numRows; }
  int64_t k() const { return rowLength; }
  mlir::Type element() const { return elementType; }
  bool isFloat() const { return mlir::isa<mlir::FloatType>(elementType); }
  llvm::StringRef name() const { return symbol; }
  /// All bytes of the stored tensor, per part.
  llvm::ArrayRef<llvm::ArrayRef<uint8_t>> parts() const { return {partBytes.data(), partCount}; }
  /// Bytes of one stored row of a part, unless isGathered().
  int64_t rowBytes(unsigned part) const { return partRowBytes[part]; }

  /// True if a row's elements are not adjacent: only copyRows and readRows serve then.
  bool isTransposed() const { return transposed; }
  /// True if rows must be brought together (Codecs.h, gatherRows): only gatherRows and readRows serve then.
  bool isGathered() const { return wq::isGathered(elementType); }
  /// Where row `row` of the weight is.
  wq::RowParts row(int64_t row) const;
  /// What is added to each element once it is a f32; only readRows does that.
  float plus() const { return added; }
  /// Floats: rows [begin, begin+count) in the stored type, to out[count][k].
  void copyRows(int64_t begin, int64_t count, uint8_t *out) const;
  /// Gathered encodings: rows [begin, begin+count) to out[count][gatheredRowBytes], and where each of them is then.
  void gatherRows(int64_t begin, int64_t count, uint8_t *out, std::vector<wq::RowParts> &rows) const;
  /// Any weight: rows [begin, begin+count) as f32, to out[count][k].
  void readRows(int64_t begin, int64_t count, float *out) const;

private:
  /// Bytes of a part of the stored rows; sets partRowBytes if rows are runs of bytes.
  llvm::Expected<uint64_t> expectedBytes(unsigned part);
  wq::StoredWeight stored() const;
  int64_t storedRow(int64_t row) const;

  std::string symbol;
  mlir::Type elementType;
  int64_t numRows = 0, rowLength = 0, storedRows = 0, rowBegin = 0, interleavedHeads = 0;
  int64_t run = 0, runStep = 0; // 0: rows follow each other
  float added = 0;
  bool transposed = false;
  unsigned partCount = 0;
  std::array<llvm::ArrayRef<uint8_t>, wq::kMostParts> partBytes;
  std::array<int64_t, wq::kMostParts> partRowBytes = {};
};

} // namespace llmc::llm
