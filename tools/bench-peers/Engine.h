// What tools/bench-peers.sh asks of an engine. One program per engine: Drive.cpp (the commands and the clock, the same
// for all) and one file that implements this over the engine's own C or C++ API.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace llmc::peers {

constexpr int kRows = 512; // tokens of one step, at most: the batch that llama.cpp calls n_ubatch

struct Config {
  std::string model;
  int threads = 1;
  std::vector<std::pair<std::string, std::string>> options; // KEY=VALUE of the command line, for the engine itself
};

/// One model and at most one context. Whatever goes wrong ends the process through fail().
class Engine {
public:
  virtual ~Engine() = default;
  /// JSON object: version and settings, as far as the engine itself reports them.
  virtual std::string settings() const = 0;
  virtual int64_t vocab() const = 0;
  /// Empties the context, for `sequences` sequences of at most `positions` tokens each. Not timed.
  virtual void prepare(int sequences, int positions) = 0;
  /// Appends tokens [sequences][count], at most kRows of them; returns when the logits after the last token of every
  /// sequence are computed: those of the last sequence, [vocab].
  virtual const float *step(const std::vector<int32_t> &tokens, int count) = 0;
  /// The cached keys and values of the only sequence, to and from a file, in place of computing them in every round;
  /// false if there is no such file, or the engine cannot do that.
  virtual bool save(const std::string &) { return false; }
  virtual bool restore(const std::string &, int /*depth*/) { return false; }
};

std::unique_ptr<Engine> createEngine(const Config &config);

/// Prints {"error": message} and ends the process.
[[noreturn]] void fail(const std::string &message);
/// A JSON string, with quotes.
std::string jsonString(const std::string &text);

} // namespace llmc::peers
