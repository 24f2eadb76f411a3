#include "Hostile.h"
#include "frontends/hf/Json.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Path.h"
#include <chrono>
#include <gtest/gtest.h>
#include <random>
#include <sys/resource.h>

namespace llmc::test {

std::ostream &operator<<(std::ostream &out, const HostileCase &row) {
  return out << llvm::sys::path::filename(row.file).str() << " (" << row.wrong << ")";
}

std::vector<HostileCase> hostileCases(const std::string &folder) {
  nlohmann::json index = llvm::cantFail(hf::readJson(folder + "/index.json"));
  std::vector<HostileCase> rows;
  for (const auto &row : index) {
    hf::Fields fields("index.json", row);
    rows.push_back(
        {folder + "/" + fields.text("file"), fields.text("wrong"), fields.text("expect"), fields.text("where", "")});
    llvm::cantFail(fields.takeError());
  }
  return rows;
}

static long residentPeak() { // KB
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void expectHostile(const HostileCase &row, llvm::function_ref<llvm::Error(llvm::StringRef)> import) {
  long before = residentPeak();
  auto begin = std::chrono::steady_clock::now();
  llvm::Error error = import(row.file);
  bool refused = bool(error);
  std::string message = refused ? llvm::toString(std::move(error)) : "";
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(seconds.count(), 1.0);
  EXPECT_LT(residentPeak() - before, 64 * 1024) << "KB more than before";
  if (row.expect != "refuse-or-correct") { EXPECT_EQ(refused, row.expect == "refuse") << message; }
  if (!refused) return;
  EXPECT_NE(message.find(row.file), std::string::npos) << message;
  EXPECT_NE(message.find(row.where), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_LT(message.size(), 1000u) << message;
}

void forEachMutation(llvm::StringRef seed, unsigned count, llvm::function_ref<void(llvm::StringRef)> use) {
  std::mt19937_64 random(20240607);
  // Most of a file is weights, where changes mean nothing.
  size_t interesting = std::min<size_t>(seed.size(), 4096);
  const uint64_t kNumbers[] = {0,         1,         2, 255, 1u << 31, UINT32_MAX, uint64_t(1) << 32, uint64_t(1) << 62,
                               INT64_MAX, UINT64_MAX};
  for (unsigned i = 0; i < count; ++i) {
    std::string bytes = seed.str();
    for (uint64_t changes = 1 + random() % 4; changes && !bytes.empty(); --changes) {
      size_t at = random() % std::min(interesting, bytes.size()), size = 1 + random() % 16;
      switch (random() % 6) {
      case 0: bytes[at] ^= char(1 << random() % 8); break;
      case 1: bytes[at] = char(random()); break;
      case 2: bytes.erase(at, size); break;
      case 3: bytes.insert(at, bytes.substr(random() % bytes.size(), size)); break;
      case 4:
        if (at + 8 <= bytes.size())
          llvm::support::endian::write64le(&bytes[at], kNumbers[random() % std::size(kNumbers)]);
        break;
      default:
        if (random() % 8 == 0)
          bytes.resize(at);
        else
          bytes[at] = "0123456789-[]{},\":eE."[random() % 21];
      }
    }
    use(bytes);
  }
}

} // namespace llmc::test
