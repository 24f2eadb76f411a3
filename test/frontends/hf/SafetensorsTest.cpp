// The safetensors reader: hostile files, one message per rule, and seeded mutations.
#include "frontends/hf/Safetensors.h"
#include "frontends/hf/Import.h"
#include "mlir/IR/MLIRContext.h"
#include "test/frontends/support/Hostile.h"
#include "llvm/Support/Endian.h"
#include <gtest/gtest.h>

using namespace llmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const std::string kHostile = std::string(LLMC_TEST_HOSTILE) + "/safetensors";

class HostileSafetensors : public testing::TestWithParam<test::HostileCase> {};

TEST_P(HostileSafetensors, IsHeldAgainstTheIndex) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  test::expectHostile(GetParam(), [&](llvm::StringRef path) -> llvm::Error {
    auto model = importHuggingFace(path, context);
    return model ? llvm::Error::success() : model.takeError();
  });
}
INSTANTIATE_TEST_SUITE_P(All, HostileSafetensors, testing::ValuesIn(test::hostileCases(kHostile)));

/// A file with this header and `dataBytes` of data.
static std::string file(const std::string &header, size_t dataBytes) {
  std::string bytes(8, 0);
  llvm::support::endian::write64le(bytes.data(), header.size());
  return bytes + header + std::string(dataBytes, 'x');
}

static std::string refusal(const std::string &bytes) {
  InputFile input = InputFile::view("m.safetensors", bytes);
  auto table = hf::parseSafetensors(input);
  if (!table) return llvm::toString(table.takeError());
  if (llvm::Error error = hf::checkNoUnusedBytes(input, *table)) return llvm::toString(std::move(error));
  return "accepted";
}

TEST(Safetensors, Messages) {
  struct Case {
    const char *header;
    size_t data;
    const char *message;
  };
  const Case cases[] = {
      {R"({"a":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}})", 8, "accepted"},
      {R"({"a":{"dtype":"F16","shape":[],"data_offsets":[0,2]}})", 2, "accepted"},
      {R"({"a":{"dtype":"F32","shape":[0,9],"data_offsets":[0,0]}})", 0, "accepted"},
      {R"({"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", 2, "accepted"},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1,
       "m.safetensors: a: found 1 bytes, expected 1 (F4 [3])"},
      {R"({"a":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}})", 7,
       "m.safetensors: a: data_offsets: found 0 to 8, expected a range within the 7 bytes of data"},
      {R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,8]}})", 8,
       "m.safetensors: a: found 8 bytes, expected 16 (F32 [2, 2])"},
      {R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]},"b":{"dtype":"U8","shape":[8],"data_offsets":[2,10]}})",
       16, "m.safetensors: a: found bytes that b has too, expected tensors that do not overlap"},
      {R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[1,9]}})", 9, "found 1 bytes at offset 61 that no tensor has"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, "a: found a member 'x', expected dtype"},
      {R"({"a":{"dtype":"U8","dtype":"U8"}})", 1, "a: found dtype twice, expected one"},
      {R"({"a":{"dtype":["U8"]}})", 1, "a: dtype: found a list, expected the name of a dtype"},
      {R"({"a":{"shape":"8"}})", 1, "a: shape: found '8', expected a list of extents"},
      {R"({"a":{"shape":[[8]]}})", 1, "a: shape: found a list, expected extents"},
      {R"({"a":{"shape":[9223372036854775808]}})", 1, "a: shape: found 9223372036854775808, expected extents"},
      {R"({"a":{"shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}})", 1, "a: shape: found more than 16 extents"},
      {R"({"a":{"data_offsets":[0]},"b":1})", 1, "a: found no dtype"},
      {R"({"a":1})", 1, "a: found 1, expected an object with dtype, shape and data_offsets"},
      {R"({"":{}})", 1, "header: found a tensor without a name"},
      {R"({"__metadata__":{"a":"b","a":"c"}})", 0, "__metadata__: found 'a' twice"},
      {R"({"__metadata__":{"a":1}})", 0, "__metadata__: found 1, expected text"},
      {"\xef\xbb\xbf{}", 0, "header: found no '{' at its beginning"},
  };
  for (const Case &row : cases)
    EXPECT_NE(refusal(file(row.header, row.data)).find(row.message), std::string::npos)
        << row.header << "\n"
        << refusal(file(row.header, row.data));
}

TEST(Safetensors, HeaderLimitIsThatOfTheFormat) {
  std::string bytes(16, ' ');
  llvm::support::endian::write64le(bytes.data(), 100'000'001);
  EXPECT_EQ(refusal(bytes), "m.safetensors: header length: found 100000001, expected at most 100000000");
}

TEST(Safetensors, ControlBytesOfNamesAreEscaped) {
  EXPECT_EQ(refusal(file(R"({"a\u001b[2J\nb":1})", 0)),
            "m.safetensors: a\\x1B[2J\\x0Ab: found 1, expected an object with dtype, shape and data_offsets");
}

TEST(Safetensors, MutationsDoNotCrash) {
  InputFile control = llvm::cantFail(InputFile::open(kHostile + "/control.safetensors"));
  test::forEachMutation(control.bytes(), 6000,
                        [](llvm::StringRef bytes) { LLVMFuzzerTestOneInput(bytes.bytes_begin(), bytes.size()); });
}
