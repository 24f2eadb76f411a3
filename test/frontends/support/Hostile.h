// The malformed files of test/data/hostile.tar.xz, unpacked by the build: each row of index.json is one test.
#pragma once
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <ostream>
#include <string>
#include <vector>

namespace llmc::test {

struct HostileCase {
  std::string file;   // path
  std::string wrong;  // what is wrong with it
  std::string expect; // refuse, accept, refuse-or-correct
  std::string where;  // what the message must name; may be empty
};
std::ostream &operator<<(std::ostream &out, const HostileCase &row);

/// The rows of `folder`/index.json.
std::vector<HostileCase> hostileCases(const std::string &folder);

/// Calls `import` and holds its outcome against the row: within a second, without growing by more than 64 MB, and with
/// a message that names the file and `where`.
void expectHostile(const HostileCase &row, llvm::function_ref<llvm::Error(llvm::StringRef)> import);

/// `count` changed copies of `seed` (bytes, runs, numbers, lengths), the same ones in every run.
void forEachMutation(llvm::StringRef seed, unsigned count, llvm::function_ref<void(llvm::StringRef)> use);

} // namespace llmc::test
