// What the tests of frontends/text share: reading test/data/tokenizers, and comparing llvm::Expected.
#pragma once
#include "frontends/text/Text.h"
#include "nlohmann/json.hpp"
#include "gtest/gtest.h"
#include <fstream>
#include <sstream>
#include <string>

namespace llmc::text {

using Json = nlohmann::ordered_json;

inline std::string readFile(const std::string &name) {
  std::ifstream file(std::string(LLMC_TOKENIZERS) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline Json readJson(const std::string &name) { return Json::parse(readFile(name)); }

/// The value, or a failed test and a default one.
template <typename T> T get(llvm::Expected<T> value) {
  if (value) return std::move(*value);
  ADD_FAILURE() << llvm::toString(value.takeError());
  return T();
}

/// The status and the message of an error that must be there.
template <typename T> std::pair<llmc_text_status, std::string> getError(llvm::Expected<T> value) {
  std::pair<llmc_text_status, std::string> result(LLMC_TEXT_OK, "no error");
  if (!value)
    llvm::handleAllErrors(value.takeError(),
                          [&](const TextError &error) { result = {error.status, error.getMessage()}; });
  return result;
}

using Ids = std::vector<uint32_t>;

/// The tests below hold a tokenizer and a template in this way, since neither has a default.
inline Tokenizer loadTokenizer(const std::string &folder) {
  return llvm::cantFail(Tokenizer::fromJson(readFile(folder + "/tokenizer.json")));
}

} // namespace llmc::text
