// Runs one engine on commands from stdin; each answer is one line of JSON on stdout. usage: ENGINE MODEL THREADS
// [KEY=VALUE...]. Token ids are random, the same for every engine; "next" is the most likely token after the last of
// them, by which engines can be compared. Commands, with the untimed part in brackets:
//   first N               N tokens to the first logits; seconds since BENCH_PEERS_START (CLOCK_MONOTONIC ns, set by the
//                         parent right before exec)
//   prefill N WARM        [WARM tokens, then emptied] N tokens in steps of at most kRows, logits of the last
//   decode N DEPTH FILE   [DEPTH tokens, from FILE if it can be ("-": none); 2 steps] N single tokens
//   batch N SEQUENCES P   [P tokens for each sequence; 2 steps] N steps of one token for each sequence
//   memory                peak resident bytes of the process, anonymous bytes now
//   quit
#include "Engine.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>

namespace llmc::peers {

void fail(const std::string &message) {
  std::printf("{\"error\": %s}\n", jsonString(message).c_str());
  std::fflush(stdout);
  std::_Exit(1);
}

std::string jsonString(const std::string &text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += uint8_t(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

namespace {

constexpr int kWarmSteps = 2;
constexpr uint32_t kSeed = 1;

double monotonic() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time); // the clock of Python's time.monotonic_ns
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

struct Run {
  explicit Run(Engine &engine) : engine(engine) {}

  /// `count` random tokens for each of `sequences`, in steps of at most kRows.
  void feed(int sequences, int count) {
    while (count > 0) {
      int part = std::min(count, std::max(1, kRows / sequences));
      tokens.resize(size_t(sequences) * part);
      for (int32_t &token : tokens) token = int32_t(random() % uint64_t(engine.vocab()));
      logits = engine.step(tokens, part);
      if (!(logits[0] == logits[0])) fail("the logits are not numbers"); // also: somebody reads them
      count -= part;
    }
  }

  /// Seconds of `steps` steps of one token each.
  double decode(int sequences, int steps) {
    for (int i = 0; i < kWarmSteps; ++i) feed(sequences, 1);
    double start = monotonic();
    for (int i = 0; i < steps; ++i) feed(sequences, 1);
    return monotonic() - start;
  }

  void answer(int64_t count, double seconds) const {
    int64_t next = std::max_element(logits, logits + engine.vocab()) - logits;
    std::printf("{\"tokens\": %lld, \"seconds\": %.9f, \"next\": %lld}\n", (long long)count, seconds, (long long)next);
  }

  Engine &engine;
  const float *logits = nullptr; // of the last step
  std::mt19937 random{kSeed};
  std::vector<int32_t> tokens;
};

void prefill(Run &run, int count, int warm) {
  run.engine.prepare(1, std::max(count, warm));
  if (warm > 0) {
    run.feed(1, warm);
    run.engine.prepare(1, std::max(count, warm));
  }
  double start = monotonic();
  run.feed(1, count);
  run.answer(count, monotonic() - start);
}

void decode(Run &run, int count, int depth, const std::string &file) {
  run.engine.prepare(1, depth + kWarmSteps + count);
  if (depth > 0 && (file == "-" || !run.engine.restore(file, depth))) {
    run.feed(1, depth);
    if (file != "-") run.engine.save(file);
  }
  run.random.seed(kSeed); // the next tokens do not depend on where the first came from
  run.answer(count, run.decode(1, count));
}

void batch(Run &run, int count, int sequences, int prompt) {
  run.engine.prepare(sequences, prompt + kWarmSteps + count);
  run.feed(sequences, prompt);
  run.answer(int64_t(count) * sequences, run.decode(sequences, count));
}

void first(Run &run, int count) {
  const char *start = std::getenv("BENCH_PEERS_START");
  if (!start) fail("BENCH_PEERS_START: found nothing, expected the time of the start in nanoseconds");
  run.engine.prepare(1, count + 1);
  run.feed(1, count);
  run.answer(count, monotonic() - std::strtod(start, nullptr) * 1e-9);
}

void memory() {
  std::ifstream status("/proc/self/status");
  int64_t peak = 0, anonymous = 0;
  for (std::string line; std::getline(status, line);) {
    std::sscanf(line.c_str(), "VmHWM: %ld", &peak);
    std::sscanf(line.c_str(), "RssAnon: %ld", &anonymous);
  }
  std::printf("{\"peak_bytes\": %ld, \"anonymous_bytes\": %ld}\n", peak * 1024, anonymous * 1024);
}

bool execute(Run &run, std::istringstream words) {
  std::string command, file;
  int a = 0, b = 0, c = 0;
  words >> command;
  run.random.seed(kSeed);
  if (command == "first" && words >> a)
    first(run, a);
  else if (command == "prefill" && words >> a >> b)
    prefill(run, a, b);
  else if (command == "decode" && words >> a >> b >> file)
    decode(run, a, b, file);
  else if (command == "batch" && words >> a >> b >> c)
    batch(run, a, b, c);
  else if (command == "memory")
    memory();
  else if (command == "quit")
    return false;
  else
    fail("found '" + words.str() + "', expected first, prefill, decode, batch, memory or quit with its numbers");
  std::fflush(stdout);
  return true;
}

int drive(const Config &config) {
  double start = monotonic();
  std::unique_ptr<Engine> engine = createEngine(config);
  std::printf("{\"load_seconds\": %.6f, \"settings\": %s}\n", monotonic() - start, engine->settings().c_str());
  std::fflush(stdout);
  Run run(*engine);
  for (std::string line; std::getline(std::cin, line);)
    if (!execute(run, std::istringstream(line))) break;
  return 0;
}

} // namespace
} // namespace llmc::peers

int main(int argc, char **argv) {
  using namespace llmc::peers;
  if (argc < 3) fail("usage: ENGINE MODEL THREADS [KEY=VALUE...]");
  Config config{argv[1], std::atoi(argv[2]), {}};
  for (int i = 3; i < argc; ++i) {
    std::string option = argv[i];
    size_t equals = option.find('=');
    if (equals == std::string::npos) fail("found '" + option + "', expected KEY=VALUE");
    config.options.emplace_back(option.substr(0, equals), option.substr(equals + 1));
  }
  return drive(config);
}
