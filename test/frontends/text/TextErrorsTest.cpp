// Malformed and hostile definitions, templates and arguments: an error with a message, never a crash, a hang or a
// flood.
#include "TextTestData.h"

using namespace llmc::text;

namespace {

const char *kMessages = R"([{"role": "user", "content": "hi"}])";

llvm::Expected<std::string> render(llvm::StringRef source, llvm::StringRef messages = kMessages,
                                   llvm::StringRef tools = "", llvm::StringRef variables = "",
                                   llvm::StringRef now = "2026-02-03T04:05:06") {
  llvm::Expected<ChatTemplate> chatTemplate = ChatTemplate::compile(source);
  if (!chatTemplate) return chatTemplate.takeError();
  return chatTemplate->render(messages, tools, variables, false, now);
}

void expectError(llvm::Expected<std::string> text, llmc_text_status status, const std::string &part) {
  auto [found, message] = getError(std::move(text));
  EXPECT_EQ(found, status) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(ChatTemplate, PythonMeanings) {
  const std::pair<const char *, const char *> cases[] = {
      {"{{ [1, 2.5, 1e16, 1e-7, 0.0001, true, none, 'a\"\\n\xC3\xA9<&>'] | tojson }}",
       "[1, 2.5, 1e+16, 1e-07, 0.0001, true, null, \"a\\\"\\n\xC3\xA9<&>\"]"},
      {"{{ {'b': 1, 'a': []} | tojson(indent=2) }}", "{\n  \"b\": 1,\n  \"a\": []\n}"},
      {"{{ {'b': 1, 'a': {}} | tojson(sort_keys=true, separators=(',', ':')) }}", "{\"a\":{},\"b\":1}"},
      {"{{ '\xC3\xA9\xF0\x9F\x98\x80' | tojson(ensure_ascii=true) }}", "\"\\u00e9\\ud83d\\ude00\""},
      {"{{ true }} {{ none }} {{ 1.0 }} {{ undefined_name }}|", "True None 1.0 |"},
      {"{% generation %}a{% endgeneration %}\n{%- generation -%} b {%- endgeneration -%} c", "abc"},
      {"{{ 'a.b.c'.rsplit('.', 1)[0] }} {{ 'xay'.partition('a')[2] }} {{ 'pre-x'.removeprefix('pre-') }}", "a.b y x"},
      {"{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% "
       "endfor %}",
       "02"},
      {"{% if true %}\n    a\n    {% endif %}\nb\n", "    a\nb"},
      {"{% for k, v in {'items': 1}.items() %}{{ k }}={{ v }}{% endfor %}", "items=1"},
      {"{{ strftime_now('%d %b %Y|%A %-d %B|%j %U %W %V %u|%I:%M %p|%e|%y%%|%F %T') }}",
       "03 Feb 2026|Tuesday 3 February|034 05 05 06 2|04:05 AM| 3|26%|2026-02-03 04:05:06"},
      {"{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }}", "True True False"},
      {"{{ '<b>' }}{{ messages[0].missing is defined }}", "<b>False"},
  };
  for (auto [source, expected] : cases) EXPECT_EQ(get(render(source)), expected) << source;
  EXPECT_EQ(get(render("{{ strftime_now is defined }}", kMessages, "", "", "")), "False");
  EXPECT_EQ(get(render("{{ messages | length }} {{ x }}", kMessages, "", R"({"messages": 5, "x": "y"})")), "1 y");
}

TEST(ChatTemplate, Errors) {
  expectError(render("{% if %}"), LLMC_TEXT_INVALID, "chat template, line 1: syntax error");
  expectError(render("\n{{ none.x.y }}"), LLMC_TEXT_INVALID, "chat template, line 2");
  expectError(render("{{ raise_exception('Not \xC3\xA9 this') }}"), LLMC_TEXT_REFUSED, "Not \xC3\xA9 this");
  expectError(render("{% macro m() %}{{ raise_exception('deep') }}{% endmacro %}{% set x = m() %}"), LLMC_TEXT_REFUSED,
              "deep");
  for (const char *empty : {"[]", "", "null"}) expectError(render("x", empty), LLMC_TEXT_INVALID, "empty conversation");
  for (const char *bad : {"{}", "5", "\"x\"", "[1]", "[null]", "[", "[{}] x", "\xFF"})
    expectError(render("x", bad), LLMC_TEXT_INVALID, "message");
  expectError(render("x", kMessages, "5"), LLMC_TEXT_INVALID, "tools are a JSON number");
  expectError(render("x", kMessages, "", "[]"), LLMC_TEXT_INVALID, "variables are a JSON sequence");
  expectError(render("x", kMessages, "", "", "yesterday"), LLMC_TEXT_INVALID, "expected the form 2026-02-03T04:05:06");
  expectError(render("x", kMessages, "", "", "2026-02-30T00:00:00"), LLMC_TEXT_INVALID, "expected the form");
  expectError(render("\xFF"), LLMC_TEXT_INVALID, "not UTF-8 at byte 0");
  expectError(render(std::string(2 << 20, 'x')), LLMC_TEXT_LIMIT, "expected at most");
  std::string deep = std::string(100000, '[') + std::string(100000, ']');
  expectError(render("x", "[{\"content\": " + deep + "}]"), LLMC_TEXT_INVALID, "recursion limit");
}

TEST(ChatTemplate, ReachesNothingOutside) {
  for (const char *source :
       {"{% include '/etc/hostname' %}", "{% import '/etc/hostname' as x %}", "{% extends '/etc/hostname' %}",
        "{% from '/etc/hostname' import y %}", "{{ open('/etc/hostname') }}", "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}", "{% include 'chat template' %}"})
    EXPECT_NE(getError(render(source)).first, LLMC_TEXT_OK) << source;
}

TEST(ChatTemplate, LimitsOfWork) {
  expectError(render("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"), LLMC_TEXT_LIMIT,
              "more instructions than a conversation of this size may take");
  expectError(render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), LLMC_TEXT_INVALID, "recursion");
  expectError(render("{{ [1] | tojson(indent=1000000000) }}"), LLMC_TEXT_INVALID, "indent is 1000000000");
  expectError(render("{% for i in range(90) %}" + std::string(200000, 'x') + "{% endfor %}"), LLMC_TEXT_LIMIT,
              "the text has 18000000 bytes");
  std::string parentheses = "{{ " + std::string(100000, '(') + "1" + std::string(100000, ')') + " }}";
  expectError(render(parentheses), LLMC_TEXT_INVALID, "recursion");
}

/// A value nested as deep as the instructions allow: printed, compared and freed without a stack overflow.
TEST(ChatTemplate, NestedValues) {
  const std::string nest =
      "{% set n = namespace(x=[]) %}{% for j in range(12000) %}{% set n.x = " + std::string(25, '[') + "n.x" +
      std::string(25, ']') + " %}{% endfor %}";
  EXPECT_EQ(get(render(nest + "ok")), "ok");
  for (const char *use : {"{{ n.x | length }}", "{{ (n.x ~ '') | length > 600000 }}", "{{ n.x == [n.x] }}",
                          "{{ [n.x, [n.x]] | sort | length }}", "{{ {n.x: 1} | length }}"})
    EXPECT_NE(get(render(nest + use)), "") << use;
  EXPECT_EQ(get(render(nest + "{{ n.x ~ '' }}")).size(), 2u * (12000 * 25 + 1));
  expectError(render(nest + "{{ n.x | tojson }}"), LLMC_TEXT_INVALID, "nested more than 256 deep");
}

/// Expressions as deep as the source is long.
TEST(ChatTemplate, DeepExpressions) {
  auto repeat = [](const std::string &part, size_t count) {
    std::string text;
    for (; count > 0; --count) text += part;
    return text;
  };
  EXPECT_EQ(get(render("{{ " + std::string(260000, '-') + "1 }}")), "1");
  EXPECT_EQ(get(render("{{ 1" + repeat("+1", 120000) + " }}")), "120001");
  EXPECT_EQ(get(render("{{ 1" + repeat("**1", 80000) + " }}")), "1");
  expectError(render("{{ a" + repeat(".a", 120000) + " }}"), LLMC_TEXT_INVALID, "undefined value");
}

/// Doubling a text 60 times is a few instructions. Two overruns, of the four that a process survives.
TEST(ChatTemplate, LimitsOfMemory) {
  expectError(render("{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"),
              LLMC_TEXT_LIMIT, "needs more than 128 MB");
  expectError(render("{{ [1] | batch(100000000000, 'x') | list | length }}"), LLMC_TEXT_LIMIT,
              "needs more than 128 MB");
  EXPECT_EQ(get(render("{{ 'still ' ~ 'works' }}")), "still works");
}

Json smallTokenizer() {
  return Json::parse(R"({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
      "post_processor": null, "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})");
}

TEST(TokenizerErrors, Definitions) {
  auto expect = [](const Json &definition, const std::string &part) {
    auto [status, message] = getError(Tokenizer::fromJson(definition.dump()));
    EXPECT_NE(status, LLMC_TEXT_OK);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  EXPECT_TRUE(bool(Tokenizer::fromJson(smallTokenizer().dump())));
  for (const char *json : {"", "null", "{}", "[]", "{\"model\": {}}", "{\"version\": \"1.0\""})
    EXPECT_EQ(getError(Tokenizer::fromJson(json)).first, LLMC_TEXT_INVALID) << json;
  EXPECT_EQ(getError(Tokenizer::fromJson(std::string(100000, '['))).first, LLMC_TEXT_INVALID);

  Json bad = smallTokenizer();
  bad["model"]["dropout"] = 0.1;
  expect(bad, "model.dropout is 0.1");
  bad = smallTokenizer();
  bad["model"]["unk_token"] = std::string(300, 'u');
  expect(bad, "model.unk_token has 300 bytes");
  bad = smallTokenizer();
  bad["added_tokens"] = Json::parse(R"([{"id": 7, "content": "<s>", "single_word": false, "lstrip": false,
                                         "rstrip": false, "normalized": false, "special": true}])");
  expect(bad, "added token \"<s>\" has id 7, but its place in the vocabulary gives 2");
  bad = smallTokenizer();
  Json replace = Json::parse(R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"})");
  bad["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json(std::vector<Json>(60, replace))}};
  expect(bad, "times longer");
  bad["normalizer"]["normalizers"] = Json(std::vector<Json>(25, replace));
  Tokenizer grows = llvm::cantFail(Tokenizer::fromJson(bad.dump()));
  EXPECT_EQ(getError(grows.encode(std::string(100, 'a'), false)).first, LLMC_TEXT_LIMIT);
}

/// The library panics on some definitions that it accepts: Strip with more to cut than there is, for one.
TEST(TokenizerErrors, PanicsBecomeErrors) {
  Json bad = smallTokenizer();
  bad["decoder"] = Json::parse(R"({"type": "Strip", "content": "a", "start": 0, "stop": 3})");
  Tokenizer tokenizer = llvm::cantFail(Tokenizer::fromJson(bad.dump()));
  auto [status, message] = getError(tokenizer.decode({0}, false));
  EXPECT_EQ(status, LLMC_TEXT_INTERNAL);
  EXPECT_NE(message.find("internal error"), std::string::npos) << message;
  EXPECT_EQ(get(tokenizer.encode("ab", false)), (Ids{0, 1}));
}

/// Truncation and padding belong to batches; a definition that pads to four billion tokens must not.
TEST(TokenizerErrors, NoTruncationNoPadding) {
  Json definition = smallTokenizer();
  definition["truncation"] =
      Json::parse(R"({"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0})");
  definition["padding"] = Json::parse(R"({"strategy": {"Fixed": 4000000000}, "direction": "Right",
      "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"})");
  Tokenizer tokenizer = llvm::cantFail(Tokenizer::fromJson(definition.dump()));
  EXPECT_EQ(get(tokenizer.encode("aab", true)), (Ids{0, 0, 1}));
}

TEST(TokenizerErrors, Texts) {
  Tokenizer tokenizer = loadTokenizer("tok-spm-legacy");
  EXPECT_EQ(getError(tokenizer.encode("a\xFF", false)).second, "text: not UTF-8 at byte 1");
  EXPECT_EQ(getError(tokenizer.encode(std::string(9 << 20, 'a'), false)).first, LLMC_TEXT_LIMIT);
  std::string longText(1 << 20, 'a'); // one word of a million letters
  EXPECT_EQ(get(tokenizer.decode(get(tokenizer.encode(longText, false)), false)), longText);
  EXPECT_EQ(get(tokenizer.decode({4000000000u, 5u}, false)).size(), get(tokenizer.decode({5u}, false)).size());
  EXPECT_EQ(getError(tokenizer.decode(Ids(100 << 20, 5), false)).first, LLMC_TEXT_LIMIT);
  EXPECT_EQ(tokenizer.tokenToId("\xFF"), std::nullopt);
}

TEST(TokenizerErrors, EveryByteOfADefinitionMissing) {
  std::string definition = readFile("tok-bpe-gpt2/tokenizer.json");
  for (size_t size = 0; size < definition.size(); size += 1499)
    EXPECT_EQ(getError(Tokenizer::fromJson(definition.substr(0, size))).first, LLMC_TEXT_INVALID) << size;
}

} // namespace
