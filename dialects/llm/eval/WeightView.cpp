#include "dialects/llm/eval/WeightView.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

namespace llmc::llm {

static llvm::Expected<llvm::ArrayRef<uint8_t>> bytesOf(llvm::StringRef symbol, StorageAttr storage,
                                                       llvm::ArrayRef<InputFile> files) {
  if (storage.getFile() < 0 || uint64_t(storage.getFile()) >= files.size())
    return llvm::createStringError(
        llvm::formatv("{0}: found file index {1}, expected one of {2} files", symbol, storage.getFile(), files.size()));
  const InputFile &file = files[storage.getFile()];
  uint64_t offset = storage.getOffset(), bytes = storage.getBytes(), size = file.bytes.size();
  if (offset > size || bytes > size - offset)
    return llvm::createStringError(llvm::formatv("{0}: {1}: found {2} bytes, expected {3} bytes at {4}; the file is "
                                                 "truncated",
                                                 file.name, symbol, size, bytes, offset));
  return file.bytes.slice(offset, bytes);
}

llvm::Expected<WeightView> WeightView::create(WeightOp op, llvm::ArrayRef<InputFile> files) {
  WeightView view;
  auto type = op.getTensorType();
  view.symbol = op.getSymName().str();
  view.elementType = type.getElementType();
  view.numRows = type.getDimSize(0);
  view.rowLength = type.getRank() == 2 ? type.getDimSize(1) : 1;
  view.storedRows = op.getStoredRows().value_or(view.numRows);
  view.rowBegin = op.getRowBegin().value_or(0);
  view.interleavedHeads = op.getInterleavedHeads().value_or(0);
  view.transposed = op.getTransposed() && view.rowLength > 1;
  view.run = op.getRun().value_or(0), view.runStep = op.getRunStep().value_or(0);
  if (op.getPlus()) view.added = op.getPlus()->convertToFloat();
  constexpr int64_t kLargest = int64_t(1) << 40; // products below stay far from overflow
  if (view.numRows <= 0 || view.rowLength <= 0 || view.storedRows > kLargest || view.rowLength > kLargest ||
      view.rowBegin < 0 || view.rowBegin > view.storedRows - view.numRows || view.storedRow(view.numRows - 1) < 0 ||
      view.storedRow(view.numRows - 1) >= view.storedRows)
    return llvm::createStringError(
        llvm::formatv("{0}: found rows {1} to {2} of {3}, {4} elements each; expected a part "
                      "of the stored rows",
                      view.symbol, view.rowBegin, view.rowBegin + view.numRows, view.storedRows, view.rowLength));
  view.partCount = wq::partCount(view.elementType);
  if (op.getStorage().size() != view.partCount)
    return llvm::createStringError(llvm::formatv("{0}: found {1} storage parts, expected {2}", view.symbol,
                                                 op.getStorage().size(), view.partCount));
  for (unsigned part = 0; part < view.partCount; ++part) {
    llvm::Expected<uint64_t> expected = view.expectedBytes(part);
    if (!expected) return llvm::createStringError(view.symbol + ": " + llvm::toString(expected.takeError()));
    auto bytes = bytesOf(view.symbol, llvm::cast<StorageAttr>(op.getStorage()[part]), files);
    if (!bytes) return bytes.takeError();
    if (bytes->size() != *expected)
      return llvm::createStringError(
          llvm::formatv("{0}: found {1} bytes in storage part {2}, expected {3} ({4} rows of {5} elements)",
                        view.symbol, bytes->size(), part, *expected, view.storedRows, view.rowLength));
    view.partBytes[part] = *bytes;
  }
  if (view.isGathered())
    if (llvm::Error error = wq::checkStored(view.stored()))
      return llvm::createStringError(view.symbol + ": " + llvm::toString(std::move(error)));
  return view;
}

llvm::Expected<uint64_t> WeightView::expectedBytes(unsigned part) {
  if (isGathered()) {
    llvm::Expected<int64_t> bytes =
        wq::gatheredPartBytes(llvm::cast<wq::EncodedType>(elementType), storedRows, rowLength, part);
    if (!bytes) return bytes.takeError();
    return uint64_t(*bytes);
  }
  llvm::Expected<int64_t> bytes = wq::rowBytes(elementType, rowLength, part);
  if (!bytes) return bytes.takeError();
  partRowBytes[part] = *bytes;
  return llvm::SaturatingMultiply<uint64_t>(storedRows, *bytes);
}

wq::StoredWeight WeightView::stored() const {
  return {llvm::cast<wq::EncodedType>(elementType), storedRows, rowLength, partBytes};
}

int64_t WeightView::storedRow(int64_t row) const {
  if (interleavedHeads) {
    int64_t head = numRows / interleavedHeads, first = row / head * head, in = row % head;
    row = first + (in < head / 2 ? 2 * in : 2 * (in - head / 2) + 1);
  }
  if (run) row = row / run * runStep + row % run;
  return rowBegin + row;
}

wq::RowParts WeightView::row(int64_t row) const {
  wq::RowParts parts = {};
  for (unsigned part = 0; part < partCount; ++part)
    parts[part] = partBytes[part].data() + storedRow(row) * partRowBytes[part];
  return parts;
}

/// Reads [k][stored rows], writes [rows][k]. In blocks of k whose lines, read and written, stay in the L1 cache.
template <typename T>
static void gatherColumns(const uint8_t *stored, int64_t storedRows, llvm::ArrayRef<int64_t> rows, int64_t k,
                          uint8_t *out) {
  constexpr int64_t kBlock = 32;
  for (int64_t first = 0; first < k; first += kBlock)
    for (size_t r = 0; r < rows.size(); ++r)
      for (int64_t i = first; i < std::min(k, first + kBlock); ++i)
        memcpy(out + (r * k + i) * sizeof(T), stored + (i * storedRows + rows[r]) * sizeof(T), sizeof(T));
}

void WeightView::copyRows(int64_t begin, int64_t count, uint8_t *out) const {
  int64_t bytes = partRowBytes[0];
  if (!transposed && !interleavedHeads && !run) {
    memcpy(out, row(begin)[0], count * bytes);
    return;
  }
  if (!transposed) {
    for (int64_t r = 0; r < count; ++r) memcpy(out + r * bytes, row(begin + r)[0], bytes);
    return;
  }
  std::vector<int64_t> rows(count);
  for (int64_t r = 0; r < count; ++r) rows[r] = storedRow(begin + r);
  const uint8_t *stored = partBytes[0].data();
  elementType.isF32() ? gatherColumns<uint32_t>(stored, storedRows, rows, rowLength, out)
                      : gatherColumns<uint16_t>(stored, storedRows, rows, rowLength, out);
}

void WeightView::gatherRows(int64_t begin, int64_t count, uint8_t *out, std::vector<wq::RowParts> &rows) const {
  std::vector<int64_t> which(count);
  for (int64_t r = 0; r < count; ++r) which[r] = storedRow(begin + r);
  wq::StoredWeight weight = stored();
  wq::gatherRows(weight, which, out);
  int64_t bytes = wq::gatheredRowBytes(weight.type, rowLength);
  for (int64_t r = 0; r < count; ++r) rows.push_back(wq::gatheredRow(weight, out + r * bytes));
}

void WeightView::readRows(int64_t begin, int64_t count, float *out) const {
  if (isGathered()) {
    std::vector<uint8_t> gathered(count * wq::gatheredRowBytes(stored().type, rowLength));
    std::vector<wq::RowParts> rows;
    gatherRows(begin, count, gathered.data(), rows);
    for (int64_t r = 0; r < count; ++r) wq::decodeRow(elementType, rowLength, rows[r], out + r * rowLength);
    return;
  }
  std::vector<uint8_t> copy(transposed ? count * partRowBytes[0] : 0);
  if (transposed) copyRows(begin, count, copy.data());
  for (int64_t r = 0; r < count; ++r) {
    wq::RowParts from = transposed ? wq::RowParts{copy.data() + r * partRowBytes[0]} : row(begin + r);
    wq::decodeRow(elementType, rowLength, from, out + r * rowLength);
  }
  if (added != 0)
    for (int64_t i = 0; i < count * rowLength; ++i) out[i] += added;
}

} // namespace llmc::llm
