#include "tools/llmc/Npy.h"
#include "tools/llmc/NewFile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstring>

namespace llmc::cli {
namespace {

using llvm::StringRef;

/// A type's elements in files: the first is what is written.
struct NpyType {
  int32_t type;
  const char *written;
  const char *alsoRead;
};
constexpr NpyType kTypes[] = {
    {LLMC_F32, "<f4", ""},
    {LLMC_F64, "<f8", ""},
    {LLMC_F16, "<f2", ""},
    {LLMC_BOOL, "|b1", ""},
    {LLMC_I8, "|i1", ""},
    {LLMC_U8, "|u1", ""},
    {LLMC_I16, "<i2", ""},
    {LLMC_U16, "<u2", ""},
    {LLMC_I32, "<i4", ""},
    {LLMC_U32, "<u4", ""},
    {LLMC_I64, "<i8", ""},
    {LLMC_U64, "<u8", ""},
    {LLMC_BF16, "<u2", "<V2 |V2"},
    {LLMC_F8E4M3FN, "|u1", "|V1 <V1"},
    {LLMC_F8E4M3FNUZ, "|u1", "|V1 <V1"},
    {LLMC_F8E5M2, "|u1", "|V1 <V1"},
    {LLMC_F8E5M2FNUZ, "|u1", "|V1 <V1"},
    {LLMC_F4E2M1, "|u1", "|V1 <V1"},
    {LLMC_F8E8M0, "|u1", "|V1 <V1"},
    {LLMC_I4, "|i1", "|u1 |V1 <V1"},
    {LLMC_U4, "|u1", "|i1 |V1 <V1"},
    {LLMC_I2, "|i1", "|u1 |V1 <V1"},
    {LLMC_U2, "|u1", "|i1 |V1 <V1"},
};
const NpyType *findType(int32_t type) {
  const NpyType *row = llvm::find_if(kTypes, [&](const NpyType &r) { return r.type == type; });
  return row == std::end(kTypes) ? nullptr : row;
}

struct Header {
  std::string descr;
  bool fortran = false;
  std::vector<int64_t> dims;
  size_t data = 0; // offset of the elements
};

/// The text behind 'key': in the header's dict.
StringRef valueOf(StringRef dict, StringRef key) {
  size_t at = dict.find(("'" + key + "'").str());
  if (at == StringRef::npos) return "";
  StringRef rest = dict.drop_front(at + key.size() + 2).ltrim();
  return rest.consume_front(":") ? rest.ltrim() : "";
}

llvm::Expected<Header> parseHeader(StringRef file) {
  auto damaged = [](const char *what) { return llvm::createStringError(std::string("not a .npy file: ") + what); };
  if (!file.starts_with(StringRef("\x93NUMPY", 6)) || file.size() < 12) return damaged("found no magic number");
  bool wide = file[6] >= 2;
  size_t begin = wide ? 12 : 10;
  size_t length =
      wide ? llvm::support::endian::read32le(file.data() + 8) : llvm::support::endian::read16le(file.data() + 8);
  if (length > file.size() - begin) return damaged("the header is cut off");
  StringRef dict = file.substr(begin, length);
  Header header;
  header.data = begin + length;
  StringRef descr = valueOf(dict, "descr");
  if (!descr.consume_front("'")) return llvm::createStringError("found elements that are structures, expected numbers");
  header.descr = descr.take_until([](char c) { return c == '\''; }).str();
  header.fortran = valueOf(dict, "fortran_order").starts_with("True");
  StringRef shape = valueOf(dict, "shape");
  if (!shape.consume_front("(")) return damaged("found no shape");
  llvm::SmallVector<StringRef> parts;
  shape.take_until([](char c) { return c == ')'; }).split(parts, ',', -1, /*KeepEmpty=*/false);
  for (StringRef part : parts) {
    int64_t dim;
    if (part.trim().empty()) continue;
    if (part.trim().getAsInteger(10, dim) || dim < 0) return damaged("found a dim that is no number");
    header.dims.push_back(dim);
  }
  if (header.dims.size() > LLMC_MOST_DIMS)
    return llvm::createStringError("found " + std::to_string(header.dims.size()) + " dims, expected at most " +
                                   std::to_string(LLMC_MOST_DIMS));
  return header;
}

/// Elements in Fortran order to C order.
void reorder(const char *from, const Header &header, size_t elementBytes, std::vector<char> &to) {
  size_t rank = header.dims.size(), count = to.size() / elementBytes;
  std::vector<int64_t> index(rank, 0);
  for (size_t i = 0; i < count; ++i) {
    size_t place = 0;
    for (size_t d = rank; d-- > 0;) place = place * header.dims[d] + index[d];
    memcpy(to.data() + i * elementBytes, from + place * elementBytes, elementBytes);
    for (size_t d = rank; d-- > 0 && ++index[d] == header.dims[d];) index[d] = 0;
  }
}

} // namespace

std::string typeText(int32_t type, llvm::ArrayRef<int64_t> dims) {
  std::string text = std::string(llmc_element_name(type) ? llmc_element_name(type) : "?") + " [";
  for (auto [i, dim] : llvm::enumerate(dims))
    text += (i ? ", " : "") + (dim < 0 ? std::string("?") : std::to_string(dim));
  return text + "]";
}

int64_t elementsOf(const llmc_tensor &tensor) {
  int64_t count = 1;
  for (int32_t i = 0; i < tensor.rank; ++i) count *= tensor.dims[i];
  return count;
}

llvm::Expected<OwnedTensor> readNpy(const std::string &path, int32_t type) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer) return llvm::createStringError(path + ": " + buffer.getError().message());
  StringRef file = (*buffer)->getBuffer();
  auto fail = [&](const std::string &what) { return llvm::createStringError(path + ": " + what); };
  llvm::Expected<Header> header = parseHeader(file);
  if (!header) return fail(llvm::toString(header.takeError()));
  const NpyType *row = findType(type);
  llvm::SmallVector<StringRef> also;
  if (row) StringRef(row->alsoRead).split(also, ' ', -1, false);
  if (!row || (header->descr != row->written && !llvm::is_contained(also, StringRef(header->descr))))
    return fail("found elements of numpy's type '" + header->descr + "', expected '" + (row ? row->written : "?") +
                "' for " + (row ? llmc_element_name(type) : "an unknown type"));
  uint64_t bytes = uint64_t(llmc_element_bytes(type)), elementBytes = bytes;
  for (int64_t dim : header->dims)
    if (__builtin_mul_overflow(bytes, uint64_t(dim), &bytes)) return fail("found dims whose product overflows");
  if (file.size() - header->data != bytes)
    return fail("found " + std::to_string(file.size() - header->data) + " bytes of elements, expected " +
                std::to_string(bytes));
  OwnedTensor tensor;
  tensor.bytes.resize(bytes);
  if (header->fortran && header->dims.size() > 1)
    reorder(file.data() + header->data, *header, elementBytes, tensor.bytes);
  else if (bytes)
    memcpy(tensor.bytes.data(), file.data() + header->data, bytes);
  tensor.view.type = type, tensor.view.rank = int32_t(header->dims.size());
  std::copy(header->dims.begin(), header->dims.end(), tensor.view.dims);
  tensor.view.data = tensor.bytes.data();
  return tensor;
}

llvm::Error writeNpy(const std::string &path, const llmc_tensor &tensor) {
  const NpyType *row = findType(tensor.type);
  if (!row) return llvm::createStringError(path + ": found elements of an unknown type");
  std::string dict = std::string("{'descr': '") + row->written + "', 'fortran_order': False, 'shape': (";
  for (int32_t i = 0; i < tensor.rank; ++i)
    dict += std::to_string(tensor.dims[i]) + (tensor.rank == 1 || i + 1 < tensor.rank ? "," : "");
  dict += "), }";
  constexpr size_t kBefore = 10, kAlign = 64; // bytes before the dict; of the elements in the file
  dict.resize((kBefore + dict.size() + 1 + kAlign - 1) / kAlign * kAlign - kBefore, ' ');
  dict.back() = '\n';
  char length[2];
  llvm::support::endian::write16le(length, uint16_t(dict.size()));
  std::string head = std::string("\x93NUMPY\x01\x00", 8) + std::string(length, 2) + dict;
  auto file = NewFile::create(path);
  if (!file) return file.takeError();
  (*file)->stream() << head;
  (*file)->stream().write(static_cast<const char *>(tensor.data),
                          size_t(elementsOf(tensor) * llmc_element_bytes(tensor.type)));
  return (*file)->finish();
}

} // namespace llmc::cli
