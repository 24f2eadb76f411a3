// A file of weights and a module whose @pack uses it, for the tests of the weight program.
#pragma once
#include "compiler/WeightProgram.h"
#include "dialects/llm/Llm.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include <cstdio>
#include <unistd.h>

namespace llmc::test {

/// A file that is deleted in the end.
class TemporaryFile {
public:
  TemporaryFile() {
    llvm::SmallString<64> name;
    if (llvm::sys::fs::createTemporaryFile("llmc-weights", "bin", fd, name)) abort();
    path = name.str().str();
  }
  TemporaryFile(const TemporaryFile &) = delete;
  ~TemporaryFile() {
    close(fd);
    unlink(path.c_str());
  }
  int fd = -1;
  std::string path;
};

class WeightModule {
public:
  WeightModule() { context.loadDialect<llm::LlmDialect, wq::WqDialect, mlir::func::FuncDialect>(); }

  /// Appends bytes to the file; gives their #llm.storage.
  std::string add(const std::vector<uint8_t> &bytes) {
    std::string storage = place(bytes.size());
    if (pwrite(file.fd, bytes.data(), bytes.size(), fileSize - bytes.size()) != ssize_t(bytes.size())) abort();
    return storage;
  }
  template <typename T> std::string add(const std::vector<T> &values) {
    auto *data = reinterpret_cast<const uint8_t *>(values.data());
    return add(std::vector<uint8_t>(data, data + values.size() * sizeof(T)));
  }
  /// The same for bytes that nobody writes: a hole of zeros.
  std::string place(int64_t bytes) {
    std::string storage = "#llm.storage<0, " + std::to_string(fileSize) + ", " + std::to_string(bytes) + ">";
    fileSize += bytes;
    if (ftruncate(file.fd, fileSize)) abort();
    return storage;
  }
  void symbol(const std::string &text) { symbols += text + "\n"; }
  /// One chain of @pack: `body` makes %w of type `from`; it is packed as `packed` at the next multiple of 4096.
  void store(const std::string &name, const std::string &body, const std::string &from, const std::string &packed,
             int64_t bytes) {
    std::string w = "%" + name + "_w", k = "%" + name + "_k", text = body;
    for (size_t at = 0; (at = text.find("%w", at)) != std::string::npos; at += w.size()) text.replace(at, 2, w);
    chains += text + "\n" + k + " = wq.pack " + w + " : " + from + " -> " + packed + "\nwq.store " + k + ", @" + name +
              " : " + packed + "\n";
    symbols += "wq.packed @" + name + " : " + packed + " at " + std::to_string(blobSize) + " size " +
               std::to_string(bytes) + "\n";
    blobSize += (bytes + 4095) / 4096 * 4096;
  }
  bool parse() {
    module =
        mlir::parseSourceString<mlir::ModuleOp>(symbols + "func.func @pack() {\n" + chains + "return\n}\n", &context);
    return bool(module);
  }
  /// The blob; empty with `message` if the program fails.
  std::vector<uint8_t> run(unsigned threads = 1) {
    std::vector<uint8_t> blob(blobSize);
    MemorySink sink(blob);
    llvm::Error error = runWeightProgram(*module, {file.path}, sink, {.threads = threads});
    message = error ? llvm::toString(std::move(error)) : "";
    return message.empty() ? blob : std::vector<uint8_t>();
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  TemporaryFile file;
  int64_t fileSize = 0, blobSize = 0;
  std::string symbols, chains, message;
};

} // namespace llmc::test
