// Real shared objects: the runtime object that the compiler embeds, a fake model, and a finished file around them.
#include "FakeModel.h"
#include "Session.h"
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace llmc::test;
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kWeightOffset = 2 << 20;

std::string readFile(const std::string &name) {
  std::ifstream in(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What the compiler does after linking: texts behind the ELF, weights at 2 MB, then the note is filled in.
std::string finishArtifact(std::string elf, char build, void (*damage)(llmc_artifact &) = nullptr) {
  uint64_t unfinished = FAKE_UNFINISHED;
  size_t at = elf.find(std::string(reinterpret_cast<char *>(&unfinished), 8));
  if (at == std::string::npos) throw std::runtime_error("no unfinished artifact in the library");
  at -= offsetof(llmc_artifact, file_size);
  llmc_artifact a;
  memcpy(&a, &elf[at], sizeof a);
  a.metadata = {elf.size(), 2};
  elf += "{}";
  a.tokenizer = {elf.size(), 9};
  elf += "tokenizer";
  a.weights = {kWeightOffset, kFakeWeightBytes};
  elf.resize(kWeightOffset);
  FakeWeights weights;
  elf.append(reinterpret_cast<char *>(weights.words), sizeof weights.words);
  a.file_size = elf.size();
  memset(a.build_id, build, sizeof a.build_id);
  if (damage) damage(a);
  memcpy(&elf[at], &a, sizeof a);
  return elf;
}

struct Directory {
  fs::path path = fs::temp_directory_path() / ("llmc-file-" + std::to_string(getpid()));
  Directory() { fs::create_directories(path); }
  ~Directory() { fs::remove_all(path); }
  std::string write(const std::string &name, const std::string &bytes) const {
    std::string file = (path / name).string();
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  }
};

struct Library {
  void *handle;
  llmc_error error = {};
  llmc_model *model = nullptr;
  explicit Library(const std::string &file, int flags = RTLD_NOW | RTLD_LOCAL) : handle(dlopen(file.c_str(), flags)) {
    if (!handle) ADD_FAILURE() << dlerror();
  }
  ~Library() {
    if (model) get<decltype(llmc_close)>("llmc_close")(model);
    dlclose(handle);
  }
  template <typename F> F *get(const char *name) const { return reinterpret_cast<F *>(dlsym(handle, name)); }
  int open(uint32_t prefetch = 0) {
    llmc_open_options options = {};
    options.abi_version = LLMC_ABI_VERSION;
    options.prefetch = prefetch;
    return get<decltype(llmc_open)>("llmc_open")(&model, &options, &error);
  }
};

TEST(File, opensAndGivesItsTexts) {
  Directory directory;
  Library library(directory.write("model.so", finishArtifact(readFile(LLMC_FAKE_SO), 1)));
  for (uint32_t prefetch : {0, 1, 2}) {
    ASSERT_EQ(library.open(prefetch), LLMC_OK) << library.error.message;
    size_t size = 1;
    auto text = library.get<decltype(llmc_text)>("llmc_text");
    EXPECT_EQ(std::string(text(library.model, LLMC_TEXT_METADATA, &size), 2), "{}");
    const char *tokenizer = text(library.model, LLMC_TEXT_TOKENIZER, &size);
    EXPECT_EQ(std::string(tokenizer, size), "tokenizer");
    EXPECT_EQ(text(library.model, LLMC_TEXT_REPORT, &size), nullptr);
    EXPECT_EQ(size, 0u);
    library.get<decltype(llmc_close)>("llmc_close")(library.model);
    library.model = nullptr;
  }
}

TEST(File, exportsTheAbiAndNothingElse) {
  Directory directory;
  Library library(directory.write("model.so", finishArtifact(readFile(LLMC_FAKE_SO), 1)));
  for (const char *name : {"llmc_abi_version", "llmc_step", "llmc_logits", "llmc_plan", "llmc_artifact"})
    EXPECT_NE(dlsym(library.handle, name), nullptr) << name;
  for (const char *name : {"llmcFail", "llmc_step_barrier", "llmc_model_constants"})
    EXPECT_EQ(dlsym(library.handle, name), nullptr) << name;
}

/// Two models in one process, global symbols and all: each sees its own.
TEST(File, twoArtifactsDoNotMix) {
  Directory directory;
  std::string elf = readFile(LLMC_FAKE_SO);
  Library first(directory.write("first.so", finishArtifact(elf, 1)), RTLD_NOW | RTLD_GLOBAL);
  Library second(directory.write("second.so", finishArtifact(elf, 2)), RTLD_NOW | RTLD_GLOBAL);
  ASSERT_EQ(first.open(), LLMC_OK) << first.error.message;
  ASSERT_EQ(second.open(), LLMC_OK) << second.error.message;
  llmc_model_info info;
  first.get<decltype(llmc_info)>("llmc_info")(first.model, &info);
  EXPECT_EQ(info.build_id[0], 1);
  second.get<decltype(llmc_info)>("llmc_info")(second.model, &info);
  EXPECT_EQ(info.build_id[15], 2);
}

TEST(File, damageIsFound) {
  Directory directory;
  std::string elf = readFile(LLMC_FAKE_SO);
  const struct {
    void (*damage)(llmc_artifact &);
    int status;
    const char *message;
  } cases[] = {
      {[](llmc_artifact &a) { a.magic[0] = 0; }, LLMC_ERROR_FILE, "no magic number"},
      {[](llmc_artifact &a) { a.version = 9; }, LLMC_ERROR_VERSION, "found format version 9, expected 1"},
      {[](llmc_artifact &a) { a.file_size += 100; }, LLMC_ERROR_FILE, "the file is truncated"},
      {[](llmc_artifact &a) { a.file_size -= 100; }, LLMC_ERROR_FILE, "bytes, expected 2100284"},
      {[](llmc_artifact &a) {
         a.weights.offset += 64;
         a.weights.size -= 64;
       },
       LLMC_ERROR_FILE, "weights: found 3168 bytes, expected 3232"},
      {[](llmc_artifact &a) { a.weights.offset -= 64; }, LLMC_ERROR_FILE, "expected a multiple of 2 MB"},
      {[](llmc_artifact &a) { a.weights.offset += 1 << 21; }, LLMC_ERROR_FILE, "expected them inside the file"},
      {[](llmc_artifact &a) { a.tokenizer.size = UINT64_MAX - 4; }, LLMC_ERROR_FILE, "tokenizer: found"},
      {[](llmc_artifact &a) { a.file_size = 0; }, LLMC_ERROR_FILE, "found no weights"}};
  int number = 0;
  for (const auto &c : cases) {
    Library library(directory.write(std::to_string(number++) + ".so", finishArtifact(elf, 1, c.damage)));
    EXPECT_EQ(library.open(), c.status) << c.message;
    EXPECT_NE(std::string(library.error.message).find(c.message), std::string::npos) << library.error.message;
  }
}

TEST(File, truncationIsFound) {
  Directory directory;
  std::string whole = finishArtifact(readFile(LLMC_FAKE_SO), 1);
  for (size_t size : {whole.size() - 1, size_t(kWeightOffset), size_t(kWeightOffset) - 5}) {
    Library library(directory.write(std::to_string(size) + ".so", whole.substr(0, size)));
    EXPECT_EQ(library.open(), LLMC_ERROR_FILE);
    EXPECT_NE(std::string(library.error.message).find("the file is truncated"), std::string::npos)
        << library.error.message;
  }
}

TEST(File, replacementAfterLoadingIsFound) {
  Directory directory;
  std::string elf = readFile(LLMC_FAKE_SO), name = directory.write("model.so", finishArtifact(elf, 1));
  Library library(name);
  fs::remove(name);
  EXPECT_EQ(library.open(), LLMC_ERROR_FILE);
  EXPECT_NE(std::string(library.error.message).find("No such file"), std::string::npos) << library.error.message;
  directory.write("model.so", finishArtifact(elf, 2));
  EXPECT_EQ(library.open(), LLMC_ERROR_FILE);
  EXPECT_NE(std::string(library.error.message).find("the file was replaced"), std::string::npos)
      << library.error.message;
}

std::string output(const std::string &command) {
  FILE *pipe = popen(command.c_str(), "r");
  std::string text;
  for (int c; pipe && (c = fgetc(pipe)) != EOF;) text += char(c);
  if (pipe) pclose(pipe);
  return text;
}

std::string greedyTokens(std::vector<int32_t> tokens, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    std::vector<float> logits = fakeLogits(tokens);
    tokens.push_back(int32_t(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    if (i) text += ' ';
    text += std::to_string(tokens.back());
  }
  return text + "\n";
}

TEST(Driver, printsGreedyTokens) {
  Directory directory;
  std::string name = directory.write("model.so", finishArtifact(readFile(LLMC_FAKE_SO), 1));
  EXPECT_EQ(output(std::string(LLMC_DRIVER) + " " + name + " 70 5 17 42"), greedyTokens({5, 17, 42}, 70));
  EXPECT_EQ(output(std::string(LLMC_DRIVER) + " " + name + " 2 500 2>&1"),
            "driver: tokens[0]: found 500, expected 0..100\n");
}

TEST(Driver, printsTheSameOnAArch64) {
#ifdef LLMC_FAKE_SO_AARCH64
  Directory directory;
  std::string name = directory.write("model.so", finishArtifact(readFile(LLMC_FAKE_SO_AARCH64), 1));
  EXPECT_EQ(output(LLMC_DRIVER_AARCH64 " " + name + " 70 5 17 42 2>&1"), greedyTokens({5, 17, 42}, 70));
#else
  GTEST_SKIP() << "needs aarch64-linux-gnu-gcc and qemu-aarch64";
#endif
}

} // namespace
