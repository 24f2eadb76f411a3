// Sequences, pages and steps on the fake model: whatever the batching, logits are those of the tokens alone.
#include "FakeModel.h"
#include "Hooks.h"
#include "Session.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

using namespace llmc::test;

namespace {

class Steps : public testing::TestWithParam<int> { // threads
protected:
  Session session(llmc_context_options options = {}) {
    options.threads = GetParam();
    return Session(options);
  }
};

TEST_P(Steps, oneShotEqualsOracle) {
  Session s = session();
  int32_t id = s.create();
  for (size_t length : {1, 2, 63, 64, 65, 128, 200}) {
    std::vector<int32_t> tokens = randomTokens(length, 1);
    ASSERT_EQ(llmc_sequence_truncate(s.context, id, 0, &s.error), LLMC_OK);
    ASSERT_EQ(s.append(id, tokens), LLMC_OK) << s.error.message;
    EXPECT_EQ(s.logits(0), fakeLogits(tokens)) << length;
    EXPECT_EQ(llmc_sequence_length(s.context, id), int64_t(length));
  }
}

TEST_P(Steps, chunksEqualOneShot) {
  std::vector<int32_t> tokens = randomTokens(190, 2);
  for (size_t chunk : {1, 3, 63, 64, 65, 100}) {
    Session s = session();
    int32_t id = s.create();
    for (size_t at = 0; at < tokens.size(); at += chunk) {
      size_t end = std::min(at + chunk, tokens.size());
      ASSERT_EQ(s.append(id, {tokens.begin() + at, tokens.begin() + end}), LLMC_OK) << s.error.message;
      if (chunk == 1 && at % 17) continue;
      EXPECT_EQ(s.logits(0), fakeLogits({tokens.begin(), tokens.begin() + end})) << chunk << " " << at;
    }
  }
}

TEST_P(Steps, twoTogetherEqualEachAlone) {
  Session s = session({.max_logit_rows = 2, .max_positions = 400, .max_sequences = 2});
  std::vector<int32_t> a = randomTokens(150, 3), b = randomTokens(70, 4);
  int32_t ids[] = {s.create(), s.create()};
  std::vector<int32_t> tokens, sequences; // interleaved: two of a, one of b, ...
  for (size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    for (int k = 0; k < 2 && i < a.size(); ++k) tokens.push_back(a[i++]), sequences.push_back(ids[0]);
    if (j < b.size()) tokens.push_back(b[j++]), sequences.push_back(ids[1]);
  }
  ASSERT_EQ(s.step(tokens, sequences), LLMC_OK) << s.error.message;
  ASSERT_EQ(llmc_logit_count(s.context), 2);
  EXPECT_EQ(s.logits(0), fakeLogits(b)); // its last token comes first in the input
  EXPECT_EQ(s.logits(1), fakeLogits(a));
  EXPECT_EQ(llmc_logits(s.context, 2), nullptr);
  EXPECT_EQ(llmc_logits(s.context, -1), nullptr);
}

TEST_P(Steps, wantedLogitsComeInInputOrder) {
  Session s = session({.max_logit_rows = 8, .max_sequences = 2});
  int32_t a = s.create(), b = s.create();
  std::vector<uint8_t> want = {1, 0, 1, 1, 0, 1};
  ASSERT_EQ(s.step({5, 6, 7, 8, 9, 10}, {b, a, a, b, b, a}, &want), LLMC_OK) << s.error.message;
  ASSERT_EQ(llmc_logit_count(s.context), 4);
  EXPECT_EQ(s.logits(0), fakeLogits({5}));
  EXPECT_EQ(s.logits(1), fakeLogits({6, 7}));
  EXPECT_EQ(s.logits(2), fakeLogits({5, 8}));
  EXPECT_EQ(s.logits(3), fakeLogits({6, 7, 10}));
  want.assign(1, 0);
  ASSERT_EQ(s.step({1}, {a}, &want), LLMC_OK);
  EXPECT_EQ(llmc_logit_count(s.context), 0);
  ASSERT_EQ(s.append(a, {2}), LLMC_OK);
  EXPECT_EQ(s.logits(0), fakeLogits({6, 7, 10, 1, 2}));
}

/// The fake model's head lists nothing, as one whose logits are changed after it: they are looked through.
TEST_P(Steps, bestInsteadOfLogits) {
  Session s = session({.max_logit_rows = 2, .max_sequences = 2});
  int32_t owners[] = {s.create(), s.create()}, tokens[] = {5, 6};
  llmc_step_input input = {.n = 2, .tokens = tokens, .sequences = owners, .want_logits = nullptr, .best = 9};
  ASSERT_EQ(llmc_step(s.context, &input, &s.error), LLMC_OK) << s.error.message;
  EXPECT_EQ(llmc_logits(s.context, 0), nullptr);
  for (int i = 0; i < 2; ++i) {
    std::vector<float> logits = fakeLogits({tokens[i]});
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    int64_t count = 0;
    const llmc_candidate *best = llmc_best(s.context, i, &count);
    ASSERT_EQ(count, 9);
    for (int k = 0; k < 9; ++k) {
      EXPECT_EQ(best[k].token, order[k]);
      EXPECT_EQ(best[k].logit, logits[order[k]]);
    }
  }
  EXPECT_EQ(llmc_best(s.context, 2, nullptr), nullptr);
  input.best = 0;
  ASSERT_EQ(llmc_step(s.context, &input, &s.error), LLMC_OK);
  EXPECT_EQ(llmc_best(s.context, 0, nullptr), nullptr);
  EXPECT_NE(llmc_logits(s.context, 0), nullptr);
  for (int64_t wrong : {-1, LLMC_MOST_BEST + 1}) {
    input.best = wrong;
    EXPECT_EQ(llmc_step(s.context, &input, &s.error), LLMC_ERROR_ARGUMENT);
    EXPECT_NE(strstr(s.error.message, "expected 0..64"), nullptr) << s.error.message;
  }
}

TEST_P(Steps, forksShareAndCopyOnWrite) {
  Session s = session({.max_logit_rows = 3, .max_positions = 600, .max_sequences = 3});
  std::vector<int32_t> prefix = randomTokens(100, 5), a = prefix, b = prefix, c = prefix;
  int32_t first = s.create(), second = -1, third = -1;
  ASSERT_EQ(s.append(first, prefix), LLMC_OK);
  int64_t before = s.state().free_kv_pages;
  ASSERT_EQ(llmc_sequence_fork(s.context, first, &second, &s.error), LLMC_OK);
  ASSERT_EQ(llmc_sequence_fork(s.context, second, &third, &s.error), LLMC_OK);
  EXPECT_EQ(s.state().free_kv_pages, before); // nothing copied yet
  a.push_back(1), b.push_back(2), c.push_back(3);
  ASSERT_EQ(s.step({1, 2, 3}, {first, second, third}), LLMC_OK) << s.error.message;
  EXPECT_EQ(s.state().free_kv_pages, before - 2); // the half-full page, for two of three owners; the full one is shared
  EXPECT_EQ(s.logits(0), fakeLogits(a));
  EXPECT_EQ(s.logits(1), fakeLogits(b));
  EXPECT_EQ(s.logits(2), fakeLogits(c));
  ASSERT_EQ(llmc_sequence_free(s.context, first, &s.error), LLMC_OK);
  ASSERT_EQ(s.append(third, {4}), LLMC_OK);
  c.push_back(4);
  EXPECT_EQ(s.logits(0), fakeLogits(c));
  EXPECT_EQ(s.state().free_kv_pages, before - 1);
  ASSERT_EQ(llmc_sequence_free(s.context, second, &s.error), LLMC_OK);
  ASSERT_EQ(llmc_sequence_free(s.context, third, &s.error), LLMC_OK);
  EXPECT_EQ(s.state().free_kv_pages, s.state().kv_pages);
}

TEST_P(Steps, truncateThenGoOn) {
  Session s = session({.max_positions = 400, .max_sequences = 2});
  std::vector<int32_t> tokens = randomTokens(140, 6), other = tokens;
  int32_t id = s.create(), fork = -1;
  ASSERT_EQ(s.append(id, tokens), LLMC_OK);
  ASSERT_EQ(llmc_sequence_fork(s.context, id, &fork, &s.error), LLMC_OK);
  tokens.resize(70); // into a page that the fork uses too
  ASSERT_EQ(llmc_sequence_truncate(s.context, id, 70, &s.error), LLMC_OK);
  ASSERT_EQ(s.append(id, {9, 8}), LLMC_OK);
  tokens.insert(tokens.end(), {9, 8});
  EXPECT_EQ(s.logits(0), fakeLogits(tokens));
  ASSERT_EQ(s.append(fork, {7}), LLMC_OK);
  other.push_back(7);
  EXPECT_EQ(s.logits(0), fakeLogits(other));
  EXPECT_EQ(llmc_sequence_truncate(s.context, id, 73, &s.error), LLMC_ERROR_ARGUMENT);
  EXPECT_STREQ(s.error.message, "length: found 73, expected 0..72, the length of sequence 0");
  EXPECT_EQ(llmc_sequence_truncate(s.context, id, -1, &s.error), LLMC_ERROR_ARGUMENT);
}

/// Thousands of random operations against plain lists of tokens.
TEST_P(Steps, randomHistory) {
  constexpr int kSequences = 6;
  Session s = session({.max_batch_rows = 64, .max_logit_rows = 6, .max_positions = 500, .max_sequences = kSequences});
  std::mt19937 random(7);
  std::vector<std::vector<int32_t>> lists(kSequences);
  std::vector<bool> alive(kSequences);
  int checked = 0, full = 0;
  for (int round = 0; round < 400; ++round) {
    int32_t id = random() % kSequences, made = -1;
    switch (random() % 8) {
    case 0:
      if (alive[id]) { ASSERT_EQ(llmc_sequence_free(s.context, id, &s.error), LLMC_OK); }
      alive[id] = false, lists[id].clear();
      break;
    case 1:
      if (!alive[id]) break;
      lists[id].resize(random() % (lists[id].size() + 1));
      ASSERT_EQ(llmc_sequence_truncate(s.context, id, int64_t(lists[id].size()), &s.error), LLMC_OK);
      break;
    case 2:
      if (!alive[id] || llmc_sequence_fork(s.context, id, &made, &s.error)) break;
      ASSERT_FALSE(alive[made]);
      alive[made] = true, lists[made] = lists[id];
      break;
    case 3:
      if (llmc_sequence_create(s.context, &made, &s.error)) break;
      ASSERT_FALSE(alive[made]);
      alive[made] = true;
      break;
    default:
      std::vector<int32_t> tokens, sequences, last;
      std::vector<std::vector<int32_t>> after = lists;
      for (int n = 1 + random() % 40; n--;) {
        int32_t q = random() % kSequences;
        if (!alive[q]) continue;
        tokens.push_back(random() % kFakeVocab), sequences.push_back(q);
        after[q].push_back(tokens.back());
        last.erase(std::remove(last.begin(), last.end(), q), last.end());
        last.push_back(q);
      }
      if (tokens.empty()) break;
      auto before = s.state();
      int status = s.step(tokens, sequences);
      if (status) {
        ASSERT_EQ(status, LLMC_ERROR_CONTEXT_FULL) << s.error.message;
        ASSERT_EQ(s.state().free_kv_pages, before.free_kv_pages);
        bool tooLong = false;
        size_t sum = 0;
        for (auto &l : after) tooLong |= l.size() > kFakeMaxContext, sum += l.size();
        ASSERT_TRUE(tooLong || sum > 500) << "refused although it fits: " << s.error.message;
        ++full;
        break;
      }
      lists = after;
      for (size_t i = 0; i < last.size(); ++i, ++checked)
        ASSERT_EQ(s.logits(int64_t(i)), fakeLogits(lists[last[i]])) << "round " << round;
    }
    for (int q = 0; q < kSequences; ++q)
      ASSERT_EQ(llmc_sequence_length(s.context, q), alive[q] ? int64_t(lists[q].size()) : -1);
  }
  EXPECT_GT(checked, 300);
  EXPECT_GT(full, 0);
  for (int q = 0; q < kSequences; ++q)
    if (alive[q]) llmc_sequence_free(s.context, q, nullptr);
  EXPECT_EQ(s.state().free_kv_pages, s.state().kv_pages);
  EXPECT_EQ(s.state().sequences, 0);
}

TEST_P(Steps, nothingButComputingInsideAStep) {
  Session s = session();
  int32_t id = s.create();
  ASSERT_EQ(s.append(id, randomTokens(50, 8)), LLMC_OK);
  int64_t live = liveAllocations, mapped = mappedBytes, started = threadsStarted;
  callsInsideStep = 0;
  int32_t token = 1;
  llmc_step_input input = {.n = 1, .tokens = &token, .sequences = &id, .want_logits = nullptr};
  for (int i = 0; i < 100; ++i) ASSERT_EQ(llmc_step(s.context, &input, &s.error), LLMC_OK);
  EXPECT_EQ(callsInsideStep, 0);
  EXPECT_EQ(liveAllocations, live);
  EXPECT_EQ(mappedBytes, mapped);
  EXPECT_EQ(threadsStarted, started);
}

TEST_P(Steps, describesThreadsAndMemory) {
  Session s({.max_positions = 100000, .threads = GetParam(), .populate = 1});
  char text[1024], cut[10];
  size_t length = llmc_context_describe(s.context, text, sizeof text);
  ASSERT_EQ(length, strlen(text));
  std::string words = std::to_string(GetParam()) + (GetParam() == 1 ? " thread" : " threads");
  EXPECT_EQ(std::string(text).substr(0, words.size()), words);
  llmc_memory_plan plan;
  llmc_context_options options = {.max_positions = 100000, .threads = GetParam()};
  ASSERT_EQ(llmc_plan(s.model.model, &options, &plan, nullptr), LLMC_OK);
  double mapped, resident;
  const char *line = strstr(text, "\ncache and arenas: ");
  ASSERT_TRUE(line) << text;
  ASSERT_EQ(sscanf(line, "\ncache and arenas: %lf MB mapped, %lf resident", &mapped, &resident), 2) << text;
  EXPECT_NEAR(mapped, double(plan.total - plan.other) / 1e6, 0.1);
  EXPECT_GE(resident, mapped - 0.3); // each of three numbers is rounded; neighbours of other owners may be in it
  EXPECT_EQ(llmc_context_describe(s.context, cut, sizeof cut), length);
  EXPECT_EQ(std::string(cut), std::string(text).substr(0, sizeof cut - 1));
}

TEST_P(Steps, planEqualsWhatIsMapped) {
  for (llmc_context_options options :
       {llmc_context_options{},
        {.max_batch_rows = 1},
        {.max_batch_rows = 40000, .max_logit_rows = 5000, .max_positions = 100000, .max_sequences = 999},
        {.max_positions = 1, .populate = 1}}) {
    options.threads = GetParam();
    llmc_memory_plan plan;
    Model model;
    ASSERT_EQ(llmc_plan(model.model, &options, &plan, nullptr), LLMC_OK);
    EXPECT_EQ(plan.total, plan.arena + plan.logit_arena + plan.kv_cache + plan.other);
    EXPECT_EQ(plan.weights, kFakeWeightBytes);
    EXPECT_EQ(plan.threads, GetParam());
    int64_t mapped = mappedBytes, started = threadsStarted;
    llmc_context *context = nullptr;
    ASSERT_EQ(llmc_context_create(&context, model.model, &options, nullptr), LLMC_OK);
    EXPECT_EQ(mappedBytes - mapped, plan.total);
    EXPECT_EQ(threadsStarted - started, GetParam() - 1);
    llmc_context_free(context);
    EXPECT_EQ(mappedBytes, mapped);
  }
}

INSTANTIATE_TEST_SUITE_P(threads, Steps, testing::Values(1, 2, 4));

/// As many tokens as were promised fit however they are spread over sequences.
TEST(Limits, maxPositionsIsAGuarantee) {
  for (int sequences : {1, 2, 7}) {
    Session s({.max_positions = 193, .max_sequences = sequences, .threads = 1});
    for (int i = 0; i < sequences; ++i) {
      size_t length = i + 1 < sequences ? 1 : 194 - sequences;
      ASSERT_EQ(s.append(s.create(), randomTokens(length, i)), LLMC_OK) << s.error.message;
    }
  }
}

TEST(Limits, overflowChangesNothing) {
  Session s({.max_logit_rows = 3, .max_positions = 256, .max_sequences = 3, .threads = 1});
  int32_t a = s.create(), b = s.create(), none;
  std::vector<int32_t> tokens = randomTokens(199, 9);
  ASSERT_EQ(s.append(a, tokens), LLMC_OK);
  EXPECT_EQ(s.append(a, {1, 2}), LLMC_ERROR_CONTEXT_FULL);
  EXPECT_STREQ(s.error.message,
               "sequence 0: found 201 positions, expected at most 200 (max_context, or max_positions if that is less)");
  EXPECT_EQ(s.step({3, 1, 2}, {b, a, a}), LLMC_ERROR_CONTEXT_FULL);
  EXPECT_EQ(llmc_sequence_length(s.context, a), 199);
  EXPECT_EQ(llmc_sequence_length(s.context, b), 0);
  ASSERT_EQ(s.append(a, {1}), LLMC_OK);
  tokens.push_back(1);
  EXPECT_EQ(s.logits(0), fakeLogits(tokens));
  // (256 + 3 * 63) / 64 = 6 pages, 4 of them taken
  EXPECT_EQ(s.append(b, randomTokens(128, 1)), LLMC_OK);
  int32_t c = s.create();
  int64_t free = s.state().free_kv_pages;
  EXPECT_EQ(free, 0);
  EXPECT_EQ(s.append(c, {1}), LLMC_ERROR_CONTEXT_FULL);
  EXPECT_STREQ(s.error.message, "kv cache: found 0 free pages of 6, expected 1; free or truncate a sequence, or raise "
                                "max_positions");
  EXPECT_EQ(llmc_sequence_create(s.context, &none, &s.error), LLMC_ERROR_CONTEXT_FULL);
  EXPECT_STREQ(s.error.message, "sequences: found all 3 (max_sequences) in use");
}

TEST(Limits, inputIsChecked) {
  Session s({.max_batch_rows = 4, .max_logit_rows = 1, .max_sequences = 2, .threads = 1});
  int32_t id = s.create(), other = s.create();
  const struct {
    std::vector<int32_t> tokens, sequences;
    const char *message;
  } cases[] = {{{}, {}, "n: found 0, expected 1..4 (max_batch_rows)"},
               {{1, 2, 3, 4, 5}, {id, id, id, id, id}, "n: found 5, expected 1..4 (max_batch_rows)"},
               {{1, kFakeVocab}, {id, id}, "tokens[1]: found 101, expected 0..100"},
               {{-1}, {id}, "tokens[0]: found -1, expected 0..100"},
               {{1}, {2}, "sequences[0]: found 2, expected one that was created"},
               {{1}, {-1}, "sequences[0]: found -1, expected one that was created"},
               {{1, 1}, {id, other}, "want_logits: found 2 tokens, expected at most 1 (max_logit_rows)"}};
  for (const auto &c : cases) {
    EXPECT_EQ(s.step(c.tokens, c.sequences), LLMC_ERROR_ARGUMENT);
    EXPECT_STREQ(s.error.message, c.message);
    EXPECT_EQ(s.error.code, LLMC_ERROR_ARGUMENT);
  }
  EXPECT_EQ(llmc_step(s.context, nullptr, nullptr), LLMC_ERROR_ARGUMENT);
  ASSERT_EQ(s.append(id, {1, 2}), LLMC_OK);
  EXPECT_EQ(s.logits(0), fakeLogits({1, 2}));
}

TEST(Limits, optionsAreChecked) {
  Model model;
  const struct {
    llmc_context_options options;
    const char *message;
  } cases[] = {{{.max_batch_rows = -1}, "max_batch_rows: found -1, expected 1..33554431"},
               {{.max_batch_rows = 4, .max_logit_rows = 5}, "max_logit_rows: found 5, expected 1..4"},
               {{.max_positions = int64_t(1) << 40}, "max_positions: found 1099511627776, expected 1..2147483647"},
               {{.threads = 1025}, "threads: found 1025, expected 1..1024"},
               {{.pin = 3}, "pin: found 3, expected 0..2"}};
  for (const auto &c : cases) {
    llmc_error error = {};
    llmc_memory_plan plan;
    llmc_context *context = nullptr;
    EXPECT_EQ(llmc_plan(model.model, &c.options, &plan, &error), LLMC_ERROR_ARGUMENT);
    EXPECT_STREQ(error.message, c.message);
    EXPECT_EQ(llmc_context_create(&context, model.model, &c.options, &error), LLMC_ERROR_ARGUMENT);
    EXPECT_EQ(context, nullptr);
  }
}

TEST(Limits, aThreadThatDoesNotStartIsAnError) {
  Model model;
  int64_t mapped = mappedBytes;
  llmc_context_options options = {.threads = 4};
  llmc_error error = {};
  llmc_context *context = nullptr;
  failThreads = threadsStarted + 2;
  EXPECT_EQ(llmc_context_create(&context, model.model, &options, &error), LLMC_ERROR_NO_MEMORY);
  failThreads = -1;
  EXPECT_STREQ(error.message, "threads: error 11 (Resource temporarily unavailable) starting thread 4 of 4");
  EXPECT_EQ(mappedBytes, mapped);
}

TEST(Limits, aContextOutlivesItsModelsHandle) {
  int64_t live = liveAllocations;
  {
    Session s({.threads = 2});
    s.model.close();
    ASSERT_EQ(s.append(s.create(), {1}), LLMC_OK);
    EXPECT_EQ(s.logits(0), fakeLogits({1}));
  }
  EXPECT_EQ(liveAllocations, live);
}

} // namespace
