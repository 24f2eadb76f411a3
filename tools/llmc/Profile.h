// Where the time of compiled steps goes, by looking at what a thread executes many times a second.
#pragma once
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace llmc::cli {

/// Functions of a loaded artifact by address.
class Symbols {
public:
  /// From the symbol table of the file at `path`, of which function `known` is at `address` in this process. A stripped
  /// file is an error.
  static llvm::Expected<Symbols> read(const std::string &path, llvm::StringRef known, const void *address);
  /// Name of the function that `address` is in; empty outside of the file's functions.
  llvm::StringRef find(uint64_t address) const;
  bool has(llvm::StringRef name) const;

private:
  struct Function {
    uint64_t begin, end;
    std::string name;
  };
  std::vector<Function> functions; // ascending
};

/// While it is alive, a timer interrupts the thread that made it and notes where it was. One at a time.
class Profiler {
public:
  static llvm::Expected<std::unique_ptr<Profiler>> start();
  ~Profiler();
  Profiler(const Profiler &) = delete;
  /// Samples in each function of `symbols`, or of another library; "" for what has no name.
  std::map<std::string, int64_t> count(const Symbols &symbols) const;

private:
  Profiler() = default;
  void *timer = nullptr; // timer_t
};

} // namespace llmc::cli
