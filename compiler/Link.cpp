#include "compiler/Link.h"
#include "lld/Common/Driver.h"
#include "runtime/RuntimeObjects.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/raw_ostream.h"
#include <optional>

LLD_HAS_DRIVER(elf)

namespace llmc {
namespace {

llvm::Error writeTemporary(llvm::StringRef bytes, llvm::SmallVectorImpl<char> &path) {
  int fd;
  if (std::error_code error = llvm::sys::fs::createTemporaryFile("llmc", "o", fd, path))
    return llvm::createStringError("temporary file: " + error.message());
  llvm::raw_fd_ostream os(fd, true);
  os << bytes;
  os.close();
  if (os.has_error()) {
    os.clear_error();
    return llvm::createStringError("temporary file: cannot be written");
  }
  return llvm::Error::success();
}

/// A C library of the target, by its run-time name: what is there without development packages. Naming libc and libm
/// binds symbols to their current versions.
std::optional<std::string> findLibrary(const Target &target, llvm::StringRef name) {
  static const char *x64[] = {"/lib/x86_64-linux-gnu/", "/lib64/", "/usr/lib64/", "/usr/lib/"};
  static const char *arm[] = {"/usr/aarch64-linux-gnu/lib/", "/lib/aarch64-linux-gnu/"};
  for (const char *folder : target.arch == Arch::X86_64 ? llvm::ArrayRef<const char *>(x64) : arm)
    if (std::string path = folder + name.str(); llvm::sys::fs::exists(path)) return path;
  return std::nullopt;
}

} // namespace

llvm::Error linkSharedObject(llvm::ArrayRef<char> object, const Target &target, const std::string &path) {
  std::string_view runtime = runtimeObject(target.arch == Arch::X86_64 ? "x86_64" : "aarch64");
  if (runtime.empty()) return llvm::createStringError(target.name + ": this build of llmc has no runtime for it");
  llvm::SmallString<128> objectPath, runtimePath;
  if (llvm::Error error = writeTemporary({object.data(), object.size()}, objectPath)) return error;
  llvm::FileRemover removeObject(objectPath);
  if (llvm::Error error = writeTemporary({runtime.data(), runtime.size()}, runtimePath)) return error;
  llvm::FileRemover removeRuntime(runtimePath);

  std::vector<std::string> arguments = {"ld.lld",
                                        "-shared",
                                        "-o",
                                        path,
                                        objectPath.str().str(),
                                        runtimePath.str().str(),
                                        "--no-undefined",
                                        "--gc-sections",
                                        "--build-id=none",
                                        "--hash-style=gnu",
                                        "-z",
                                        "noexecstack",
                                        "-Bsymbolic",
                                        "-z",
                                        "now",
                                        "-z",
                                        "max-page-size=4096",
                                        "--strip-debug"};
  for (llvm::StringRef library : {"libc.so.6", "libm.so.6"}) {
    std::optional<std::string> found = findLibrary(target, library);
    if (!found) return llvm::createStringError(target.name + ": " + library.str() + " was not found on this system");
    arguments.push_back(*found);
  }
  std::vector<const char *> argv;
  for (const std::string &argument : arguments) argv.push_back(argument.c_str());
  std::string messages;
  llvm::raw_string_ostream os(messages);
  lld::Result result = lld::lldMain(argv, os, os, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode) return llvm::createStringError("link: " + messages);
  return llvm::Error::success();
}

} // namespace llmc
