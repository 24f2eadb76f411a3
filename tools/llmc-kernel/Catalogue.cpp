#include "tools/llmc-kernel/Catalogue.h"

namespace llmc::tool {
namespace {

probe::Kind kindOf(const MatmulDesc &desc, llvm::StringRef) {
  if (desc.x.isQ8() && desc.w.isInteger()) return probe::Kind::Int8;
  return desc.x.is16Bit() ? probe::Kind::Half : probe::Kind::F32;
}
/// The other families name what they multiply: attention_f32_avx512.
template <typename Desc> probe::Kind kindOf(const Desc &, llvm::StringRef name) {
  llvm::StringRef type = name.split('_').second.split('_').first;
  if (type.contains("f16")) return probe::Kind::Half;
  return type.contains("8") ? probe::Kind::Int8 : probe::Kind::F32;
}

template <typename Desc> void addFamily(const char *family, std::vector<Row> &rows) {
  for (const Kernel<Desc> &kernel : kernelTable<Desc>()) {
    auto accepted = [&kernel](const Shape &shape, const Target &target, std::vector<std::string> *refused) {
      std::vector<Accepted> all;
      for (const Desc &desc : descriptors<Desc>(shape)) {
        if (Refusal reason = refusal(kernel, desc, target)) {
          if (refused) refused->push_back(describe(desc) + ": " + *reason);
          continue;
        }
        all.push_back({describe(desc), kindOf(desc, kernel.name),
                       [&kernel, desc, target] { return kernel.emit(desc, target); },
                       [desc, shape](bool forTiming) { return tool::makeCase(desc, shape, forTiming); }});
      }
      return all;
    };
    rows.push_back({family, kernel.name, kernel.arch, kernel.anyArch, kernel.needs, accepted});
  }
}

} // namespace

std::vector<Row> catalogue() {
  std::vector<Row> rows;
  addFamily<MatmulDesc>("matmul", rows);
  addFamily<RowwiseDesc>("rowwise", rows);
  addFamily<KvAppendDesc>("kv_append", rows);
  addFamily<AttentionDesc>("attention", rows);
  return rows;
}

llvm::Expected<Row> findRow(const std::string &name) {
  std::string names;
  for (Row &row : catalogue()) {
    if (row.name == name) return row;
    (names += names.empty() ? "" : ", ") += row.name;
  }
  return llvm::createStringError("kernel: found '" + name + "', expected one of " + names);
}

} // namespace llmc::tool
