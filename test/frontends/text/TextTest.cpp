// The seven tokenizers and chat templates of test/data/tokenizers against what Hugging Face's libraries gave for them.
#include "TextTestData.h"

using namespace llmc::text;

namespace {

const char *kReplacement = "\xEF\xBF\xBD"; // U+FFFD

class TextGolden : public testing::TestWithParam<const char *> {};

INSTANTIATE_TEST_SUITE_P(Tokenizers, TextGolden,
                         testing::Values("tok-bpe-gpt2", "tok-bpe-llama3", "tok-bpe-qwen2", "tok-spm-legacy",
                                         "tok-spm-metaspace", "tok-spm-gemma", "tok-unigram"),
                         [](const auto &info) {
                           std::string name = info.param;
                           for (char &c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

void checkEncode(const Tokenizer &tokenizer, const Json &golden) {
  for (const Json &c : golden["encode"]) {
    std::string text = c["text"];
    SCOPED_TRACE(c["text"].dump());
    Ids ids = get(tokenizer.encode(text, false));
    EXPECT_EQ(ids, c["ids"].get<Ids>());
    EXPECT_EQ(get(tokenizer.encode(text, true)), c["ids_with_special"].get<Ids>());
    EXPECT_EQ(get(tokenizer.decode(ids, false)), c["decoded"].get<std::string>());
    EXPECT_EQ(get(tokenizer.decode(ids, true)), c["decoded_skip_special"].get<std::string>());
  }
}

TEST_P(TextGolden, Encode) {
  Tokenizer tokenizer = loadTokenizer(GetParam());
  Json golden = readJson(std::string(GetParam()) + "/tokens.golden.json");
  EXPECT_EQ(tokenizer.vocabSize(), golden["vocab_size"].get<size_t>());
  EXPECT_GE(golden["encode"].size(), 110u);
  checkEncode(tokenizer, golden);
}

TEST_P(TextGolden, Decode) {
  Tokenizer tokenizer = loadTokenizer(GetParam());
  Json golden = readJson(std::string(GetParam()) + "/tokens.golden.json");
  EXPECT_GE(golden["decode"].size(), 144u);
  for (const Json &c : golden["decode"]) {
    SCOPED_TRACE(c["ids"].dump());
    Ids ids = c["ids"].get<Ids>();
    EXPECT_EQ(get(tokenizer.decode(ids, false)), c["decoded"].get<std::string>());
    EXPECT_EQ(get(tokenizer.decode(ids, true)), c["decoded_skip_special"].get<std::string>());
  }
}

TEST_P(TextGolden, Stream) {
  Tokenizer tokenizer = loadTokenizer(GetParam());
  Json golden = readJson(std::string(GetParam()) + "/tokens.golden.json");
  for (const Json &c : golden["decode"]) {
    SCOPED_TRACE(c["ids"].dump());
    llvm::Expected<StreamDecoder> stream = tokenizer.stream(false);
    ASSERT_TRUE(bool(stream));
    Ids ids = c["ids"].get<Ids>();
    const Json &pieces = c["stream"]["pieces"];
    bool refused = c["stream"].contains("error");
    ASSERT_TRUE(refused || pieces.size() == ids.size());
    std::string joined;
    for (size_t i = 0; i < pieces.size(); ++i) {
      std::optional<std::string> piece = get(stream->push(ids[i]));
      EXPECT_EQ(piece.has_value(), !pieces[i].is_null()) << i;
      EXPECT_EQ(piece.value_or(""), pieces[i].is_null() ? "" : pieces[i].get<std::string>()) << i;
      joined += piece.value_or("");
    }
    if (refused) {
      EXPECT_NE(getError(stream->push(ids[pieces.size()])).first, LLMC_TEXT_OK);
      continue;
    }
    // With byte fallback, decoding all at once turns more bytes into U+FFFD than decoding one at a time.
    std::string decoded = c["decoded"], rest = get(stream->finish());
    if (decoded.find(kReplacement) == std::string::npos) {
      EXPECT_EQ(joined + rest, decoded);
    } else if (!pieces.empty() && pieces.back().is_null()) {
      EXPECT_NE(rest, "");
    }
  }
}

TEST_P(TextGolden, Vocabulary) {
  Tokenizer tokenizer = loadTokenizer(GetParam());
  Json golden = readJson(std::string(GetParam()) + "/tokens.golden.json");
  for (const auto &[id, token] : golden["vocab_probe"].items()) {
    EXPECT_EQ(tokenizer.idToToken(std::stoul(id)), token.get<std::string>());
    EXPECT_EQ(tokenizer.tokenToId(token.get<std::string>()), uint32_t(std::stoul(id)));
  }
  EXPECT_EQ(tokenizer.idToToken(tokenizer.vocabSize()), std::nullopt);
  EXPECT_EQ(tokenizer.tokenToId("no such token"), std::nullopt);
}

/// What an artifact embeds: the same bytes every time, and the same ids when read back.
TEST_P(TextGolden, CanonicalForm) {
  std::string once = get(loadTokenizer(GetParam()).toJson());
  EXPECT_EQ(once, get(loadTokenizer(GetParam()).toJson()));
  Tokenizer again = llvm::cantFail(Tokenizer::fromJson(once));
  EXPECT_EQ(once, get(again.toJson()));
  checkEncode(again, readJson(std::string(GetParam()) + "/tokens.golden.json"));
}

TEST_P(TextGolden, Chat) {
  std::string folder = GetParam();
  Tokenizer tokenizer = loadTokenizer(folder);
  Json config = readJson(folder + "/tokenizer_config.json");
  std::string source = config.contains("chat_template") ? config["chat_template"].get<std::string>()
                                                        : readFile(folder + "/chat_template.jinja");
  ChatTemplate chatTemplate = llvm::cantFail(ChatTemplate::compile(source));
  Json golden = readJson(folder + "/chat.golden.json");
  EXPECT_EQ(golden["cases"].size(), 28u);
  for (const Json &c : golden["cases"]) {
    SCOPED_TRACE(c["name"].dump());
    Json variables = readJson(folder + "/special_tokens_map.json");
    variables.update(c["variables"]);
    llvm::Expected<std::string> text =
        chatTemplate.render(c["messages"].dump(), c["tools"].dump(), variables.dump(), c["add_generation_prompt"],
                            golden["now"].get<std::string>());
    if (!c.contains("error")) {
      std::string found = get(std::move(text));
      EXPECT_EQ(found, c["text"].get<std::string>());
      EXPECT_EQ(get(tokenizer.encode(found, false)), c["ids"].get<Ids>());
      continue;
    }
    // Texts of raise_exception are the template's and must be the same; other errors are worded as we like.
    std::string expected = c["error"];
    auto [status, message] = getError(std::move(text));
    bool raised = source.find("raise_exception('" + expected.substr(0, 20)) != std::string::npos;
    EXPECT_EQ(status, raised ? LLMC_TEXT_REFUSED : LLMC_TEXT_INVALID);
    if (raised || c["messages"].empty()) { EXPECT_EQ(message, expected); }
  }
}

TEST(TextStream, SkipsSpecialTokensAndOutlivesTheTokenizer) {
  Ids ids;
  auto makeStream = [&] {
    Tokenizer tokenizer = loadTokenizer("tok-bpe-qwen2");
    ids = get(tokenizer.encode("<|im_start|>na\xC3\xAFve \xF0\x9F\x98\x80<|im_end|>!", false));
    return llvm::cantFail(tokenizer.stream(true));
  };
  StreamDecoder stream = makeStream();
  for (int round = 0; round < 2; ++round) {
    std::string joined;
    for (uint32_t id : ids) joined += get(stream.push(id)).value_or("");
    EXPECT_EQ(joined + get(stream.finish()), "na\xC3\xAFve \xF0\x9F\x98\x80!");
  }
}

TEST(TextClock, LocalTimeIsWhatTemplatesRead) {
  ChatTemplate chatTemplate = llvm::cantFail(ChatTemplate::compile("{{ strftime_now('%Y-%m-%dT%H:%M:%S') }}"));
  std::string now = localTime();
  EXPECT_EQ(get(chatTemplate.render(R"([{"role": "user"}])", "", "", false, now)), now);
}

} // namespace
