// llmc bench: how fast a model reads prompts and generates, and how near that is to what the memory allows.
#include "tools/llmc/Bandwidth.h"
#include "tools/llmc/Commands.h"
#include "tools/llmc/Generate.h"
#include "tools/llmc/Progress.h"
#include "tools/llmc/Usage.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

namespace llmc::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchCommand {
  std::string model;
  int64_t prompt = 512, generate = 128, threads = 0, repetitions = 5;
  bool json = false;
  CompileFlags flags;
};

struct Spread {
  double median = 0, least = 0, most = 0;
};

Spread spreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back()};
}

Json json(const Spread &s) { return {{"median", s.median}, {"min", s.least}, {"max", s.most}}; }

/// What one run of the command measures.
struct Measured {
  double loadSeconds = 0;
  std::vector<double> promptRates, generateRates, firstTokens; // tokens per second; seconds
  uint64_t peakBytes = 0;
  double bandwidth = 0; // bytes per second
};

/// Bytes of weights that a step of one token reads: every packed weight but tables of which it reads one row.
llvm::Expected<int64_t> weightBytesPerToken(const Model &model) {
  Json report = Json::parse(model.texts().report, nullptr, /*allow_exceptions=*/false);
  auto weights = report.is_object() ? report.find("weights") : report.end();
  if (weights == report.end() || !weights->is_array())
    return llvm::createStringError("report: found no list of weights; compile the model again");
  int64_t bytes = 0;
  for (const Json &weight : *weights)
    if (!weight.value("gathered", false)) bytes += weight.value("bytes", int64_t(0));
  return bytes;
}

llvm::Error timePrompt(Session &session, Sampler &sampler, llvm::ArrayRef<int32_t> prompt, Measured &out) {
  if (llvm::Error error = session.truncate(0)) return error;
  double start = now();
  if (llvm::Error error = session.feed(prompt)) return error;
  double fed = now();
  llvm::Expected<int32_t> token = sampler.draw(session.lastLogits());
  if (!token) return token.takeError();
  out.promptRates.push_back(double(prompt.size()) / (fed - start));
  out.firstTokens.push_back(now() - start);
  return llvm::Error::success();
}

/// Tokens one by one from an empty sequence on, each with its logits, as llama-bench's "tg" does.
llvm::Error timeGenerate(Session &session, llvm::ArrayRef<int32_t> tokens, Measured &out) {
  if (llvm::Error error = session.truncate(0)) return error;
  double start = now();
  for (const int32_t &token : tokens)
    if (llvm::Error error = session.feed(llvm::ArrayRef(token))) return error;
  out.generateRates.push_back(double(tokens.size()) / (now() - start));
  return llvm::Error::success();
}

llvm::Error measure(const BenchCommand &command, Session &session, Measured &out) {
  std::mt19937 random(1);
  auto ids = [&](int64_t count) {
    std::vector<int32_t> tokens(count);
    for (int32_t &token : tokens) token = int32_t(random() % uint64_t(session.model().info().vocab));
    return tokens;
  };
  auto sampler = Sampler::create(session.model(), {});
  if (!sampler) return sampler.takeError();
  std::vector<int32_t> prompt = ids(command.prompt), generated = ids(command.generate);
  Measured warmUp; // page faults, the clock of the CPU
  if (llvm::Error error = timePrompt(session, **sampler, prompt, warmUp)) return error;
  for (int64_t i = 0; i < command.repetitions; ++i) {
    if (llvm::Error error = timePrompt(session, **sampler, prompt, out)) return error;
    if (llvm::Error error = timeGenerate(session, generated, out)) return error;
  }
  out.peakBytes = peakMemory(); // before the probe takes its own
  ReadProbe probe;
  if (!probe) return llvm::createStringError("bandwidth probe: found no memory for 512 MB");
  out.bandwidth = probe.measure(session.threads(), /*rounds=*/8);
  return llvm::Error::success();
}

void printJson(const BenchCommand &command, const Session &session, const Measured &m, int64_t weightBytes) {
  Spread generate = spreadOf(m.generateRates);
  Json result = {{"model", command.model},
                 {"name", session.model().text().name},
                 {"target", session.model().info().target},
                 {"threads", session.threads()},
                 {"repetitions", command.repetitions},
                 {"prompt_tokens", command.prompt},
                 {"prompt_tokens_per_s", json(spreadOf(m.promptRates))},
                 {"generated_tokens", command.generate},
                 {"generated_tokens_per_s", json(generate)},
                 {"load_ms", m.loadSeconds * 1e3},
                 {"time_to_first_token_ms", spreadOf(m.firstTokens).median * 1e3},
                 {"peak_rss_bytes", m.peakBytes},
                 {"weight_bytes_per_token", weightBytes},
                 {"read_bandwidth_bytes_per_s", m.bandwidth},
                 {"decode_bandwidth_share", double(weightBytes) * generate.median / m.bandwidth},
                 {"kernels", session.model().kernels()}};
  llvm::outs() << result.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
}

void printText(const BenchCommand &command, const Session &session, const Measured &m, int64_t weightBytes) {
  Spread prompt = spreadOf(m.promptRates), generate = spreadOf(m.generateRates);
  llvm::outs() << command.model << ", " << session.model().info().target << ", " << session.threads() << " threads, "
               << command.repetitions << " repetitions\n";
  llvm::outs() << llvm::format("prompt of %-6lld  %8.1f tokens/s  (%.1f to %.1f)\n", (long long)command.prompt,
                               prompt.median, prompt.least, prompt.most);
  llvm::outs() << llvm::format("generated %-6lld  %8.1f tokens/s  (%.1f to %.1f)\n", (long long)command.generate,
                               generate.median, generate.least, generate.most);
  llvm::outs() << llvm::format("load %.0f ms, first token of the prompt %.0f ms, peak memory %.0f MB\n",
                               m.loadSeconds * 1e3, spreadOf(m.firstTokens).median * 1e3, double(m.peakBytes) / 1e6);
  llvm::outs() << llvm::format("weights read per token %.1f MB, memory read %.1f GB/s: generation uses %.0f %% of it\n",
                               double(weightBytes) / 1e6, m.bandwidth / 1e9,
                               100 * double(weightBytes) * generate.median / m.bandwidth);
}

llvm::Error benchModel(const BenchCommand &command, const Model &model, double start) {
  int64_t wanted = std::max(command.prompt, command.generate);
  if (wanted > model.info().max_context)
    return llvm::createStringError("found " + std::to_string(wanted) +
                                   " tokens, expected at most the model's context of " +
                                   std::to_string(model.info().max_context) + "; lower --prompt or --gen");
  auto session = Session::create(model, wanted, command.threads);
  if (!session) return session.takeError();
  Measured measured;
  measured.loadSeconds = now() - start;
  if (llvm::Error error = measure(command, **session, measured)) return error;
  llvm::Expected<int64_t> bytes = weightBytesPerToken(model);
  if (!bytes) return bytes.takeError();
  command.json ? printJson(command, **session, measured, *bytes) : printText(command, **session, measured, *bytes);
  return llvm::Error::success();
}

int bench(BenchCommand &command) {
  double start = now();
  command.flags.options().threads = unsigned(command.threads);
  llvm::Expected<std::unique_ptr<Model>> model = nullptr;
  {
    ProgressLine line;
    model = Model::load(command.model, command.flags.options(), line.callbacks());
  }
  if (!model) return fail(model.takeError());
  if (std::string given = command.flags.given(); !(*model)->compiledHere() && !given.empty())
    return failUsage(given + ": found the compiled " + command.model + ", expected a model that is not compiled yet");
  if (llvm::Error error = benchModel(command, **model, start)) return fail(about(command.model, std::move(error)));
  return 0;
}

} // namespace

Command addBench(CLI::App &llmc) {
  CLI::App *app = llmc.add_subcommand("bench", "time a model: prompt and generated tokens per second");
  auto command = std::make_shared<BenchCommand>();
  app->add_option("MODEL", command->model, "compiled .so, Hugging Face folder, .gguf or .onnx")->required();
  auto number = [&](const char *name, int64_t &value, const char *help, CLI::Validator check) {
    restrict(app->add_option(name, value, help), std::move(check))->capture_default_str();
  };
  number("--prompt", command->prompt, "tokens of the prompt", atLeast(1, "N"));
  number("--gen", command->generate, "tokens to generate", atLeast(1, "N"));
  number("--threads", command->threads, "0: as many as this process may use", numberIn(0, 1024, "N"));
  number("--repetitions", command->repetitions, "of each measurement", atLeast(1, "N"));
  app->add_flag("--json", command->json, "as JSON");
  command->flags.add(*app, /*jit=*/true);
  addExamples(*app, "  llmc bench model.so\n"
                    "  llmc bench model.so --threads 1 --prompt 2048 --gen 64 --json\n"
                    "Token ids are random, the same in every run; each repetition starts from an empty sequence.\n"
                    "The share of memory bandwidth compares weight bytes per token with this machine's read rate,\n"
                    "measured in the same run with as many threads over 512 MB.");
  return {app, [command] { return bench(*command); }};
}

} // namespace llmc::cli
