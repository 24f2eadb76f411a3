#include "tools/llmc-kernel/Catalogue.h"

namespace llmc::tool {
namespace {

template <typename Desc> void addFamily(const char *family, std::vector<Row> &rows) {
  for (const Kernel<Desc> &kernel : kernelTable<Desc>()) {
    auto accepted = [&kernel](const Shape &shape, const Target &target, std::vector<std::string> *refused) {
      std::vector<Accepted> all;
      for (const Desc &desc : descriptors<Desc>(shape)) {
        if (Refusal reason = refusal(kernel, desc, target)) {
          if (refused) refused->push_back(describe(desc) + ": " + *reason);
          continue;
        }
        all.push_back({describe(desc), [&kernel, desc, target] { return kernel.emit(desc, target); },
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
