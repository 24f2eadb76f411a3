// llmc bench: how fast a model reads prompts and generates, and how near that is to what this machine allows.
#include "tools/llmc/BenchRun.h"
#include "tools/llmc/Commands.h"
#include "tools/llmc/Progress.h"
#include "tools/llmc/Usage.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>
#include <nlohmann/json.hpp>

namespace llmc::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchCommand {
  std::string model;
  BenchSettings settings = {.prompts = {512}, .depths = {0}, .batches = {1}, .generate = 128};
  bool json = false, verbose = false;
  CompileFlags flags;
};

/// Null without values: nothing was measured.
Json spread(std::vector<double> values) {
  if (values.empty()) return nullptr;
  std::sort(values.begin(), values.end());
  return {{"median", probe::quantile(values, 0.5)}, {"min", values.front()}, {"max", values.back()}};
}

double median(const std::vector<double> &values) { return probe::spreadOf(values).median; }

Json describe(const BenchResult &r) {
  return {{"test", r.what.prefill ? "prefill" : "decode"},
          {"tokens", r.what.tokens},
          {"depth", r.what.depth},
          {"batch", r.what.batch},
          {"tokens_per_s", spread(r.rates)},
          {"limit", r.limit},
          {"share_of_limit", spread(r.shares)},
          {"bytes", r.step.bytes},
          {"operations", r.step.allOperations()}};
}

/// The first result of its kind: at the first depth and, decoding, of the first batch.
const BenchResult *first(const BenchRun &run, bool prefill) {
  for (const BenchResult &result : run.results)
    if (result.what.prefill == prefill) return &result;
  return nullptr;
}

void printJson(const BenchCommand &command, const Model &model, const BenchRun &run, double loadSeconds,
               double weightBytes) {
  const BenchResult *prompt = first(run, true), *decode = first(run, false);
  double read = median(run.reads);
  Json tests = Json::array(), peaks = Json::object();
  for (const BenchResult &result : run.results) tests.push_back(describe(result));
  for (size_t kind = 0; kind < probe::kKinds; ++kind)
    if (!run.peakNames[kind].empty())
      peaks[probe::kindName(probe::Kind(kind))] = {{"instruction", run.peakNames[kind]},
                                                   {"operations_per_s", median(run.peaks[kind])}};
  double rate = decode ? median(decode->rates) : 0, sequences = decode ? double(decode->what.batch) : 1;
  Json result = {{"model", command.model},
                 {"name", model.text().name},
                 {"target", model.info().target},
                 {"threads", run.threads},
                 {"placement", run.placement},
                 {"repetitions", command.settings.rounds},
                 {"prompt_tokens", prompt ? Json(prompt->what.tokens) : Json()},
                 {"prompt_tokens_per_s", prompt ? spread(prompt->rates) : Json()},
                 {"generated_tokens", decode ? Json(decode->what.tokens) : Json()},
                 {"generated_tokens_per_s", decode ? spread(decode->rates) : Json()},
                 {"load_ms", loadSeconds * 1e3},
                 {"time_to_first_token_ms", prompt ? Json(median(prompt->firstTokens) * 1e3) : Json()},
                 {"peak_rss_bytes", run.peakBytes},
                 {"weight_bytes_per_token", int64_t(weightBytes)},
                 {"read_bandwidth_bytes_per_s", read > 0 ? Json(read) : Json()},
                 {"decode_bandwidth_share", decode && read > 0 ? Json(weightBytes * rate / sequences / read) : Json()},
                 {"peaks", peaks},
                 {"depth_filled_by", "prefill"},
                 {"depth_fill_s", run.fillSeconds},
                 {"tests", tests},
                 {"kernels", model.kernels()}};
  llvm::outs() << result.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
}

std::string nameOf(const BenchCase &one) {
  std::string name = (one.prefill ? "prefill " : "decode ") + std::to_string(one.tokens);
  if (one.batch > 1) name += " x " + std::to_string(one.batch);
  if (one.depth) name += " at " + std::to_string(one.depth);
  return name;
}

void printText(const BenchCommand &command, const Model &model, const BenchRun &run, double loadSeconds,
               double weightBytes) {
  llvm::outs() << command.model << ", " << model.info().target << ", " << run.threads << " threads, "
               << command.settings.rounds << " rounds; medians\n";
  llvm::outs() << llvm::format("%-24s %10s  %-20s %s\n", "", "tokens/s", "(least to most)", "share of the limit");
  for (const BenchResult &r : run.results) {
    auto [least, most] = std::minmax_element(r.rates.begin(), r.rates.end());
    std::string range, share = "not known: the machine is too busy";
    llvm::raw_string_ostream(range) << llvm::format("(%.1f to %.1f)", *least, *most);
    if (!r.shares.empty()) {
      share.clear();
      llvm::raw_string_ostream(share) << llvm::format("%.0f %% of ", 100 * median(r.shares)) << r.limit;
    }
    llvm::outs() << llvm::format("%-24s %10.1f  %-20s ", nameOf(r.what).c_str(), median(r.rates), range.c_str())
                 << share << "\n";
  }
  llvm::outs() << llvm::format("memory read %.1f GB/s", median(run.reads) / 1e9);
  for (size_t kind = 0; kind < probe::kKinds; ++kind)
    if (!run.peakNames[kind].empty())
      llvm::outs() << llvm::format(", %s %.2f TOP/s (", probe::kindName(probe::Kind(kind)),
                                   median(run.peaks[kind]) / 1e12)
                   << run.peakNames[kind] << ")";
  llvm::outs() << llvm::format("\nweights read per step %.1f MB; load %.0f ms", weightBytes / 1e6, loadSeconds * 1e3);
  if (const BenchResult *prompt = first(run, true))
    llvm::outs() << llvm::format(", first token of the prompt %.0f ms", median(prompt->firstTokens) * 1e3);
  llvm::outs() << llvm::format(", peak memory %.0f MB\n", double(run.peakBytes) / 1e6);
  if (command.verbose) llvm::outs() << run.placement;
}

llvm::Error benchModel(const BenchCommand &command, const Model &model, double loadSeconds) {
  llvm::Expected<ModelCosts> costs = ModelCosts::parse(model.texts().report, model.info().target);
  if (!costs) return costs.takeError();
  llvm::Expected<BenchRun> run = runBench(model, *costs, command.settings);
  if (!run) return run.takeError();
  const BenchResult *decode = first(*run, false);
  int64_t rows = decode ? decode->what.batch : 1;
  double weightBytes = 0;
  for (const CallCost &call : costs->calls) weightBytes += double(call.count) * call.weightsRead(rows);
  (command.json ? printJson : printText)(command, model, *run, loadSeconds, weightBytes);
  return llvm::Error::success();
}

int bench(BenchCommand &command) {
  if (benchCases(command.settings).empty()) return failUsage("-p, -n: found 0 for both, expected tokens to measure");
  double start = now();
  command.flags.options().threads = unsigned(command.settings.threads);
  llvm::Expected<std::unique_ptr<Model>> model = nullptr;
  {
    ProgressLine line;
    model = Model::load(command.model, command.flags.options(), line.callbacks());
  }
  if (!model) return fail(model.takeError());
  if (std::string given = command.flags.given(); !(*model)->compiledHere() && !given.empty())
    return failUsage(given + ": found the compiled " + command.model + ", expected a model that is not compiled yet");
  if (llvm::Error error = benchModel(command, **model, now() - start))
    return fail(about(command.model, std::move(error)));
  return 0;
}

} // namespace

Command addBench(CLI::App &llmc) {
  CLI::App *app = llmc.add_subcommand("bench", "time a model: prompt and generated tokens per second");
  auto command = std::make_shared<BenchCommand>();
  BenchSettings &settings = command->settings;
  app->add_option("MODEL", command->model, "compiled .so, Hugging Face folder, .gguf or .onnx")->required();
  auto number = [&](const char *name, auto &value, const char *help, CLI::Validator check) {
    return restrict(app->add_option(name, value, help), std::move(check))->capture_default_str();
  };
  number("-p,--prompt", settings.prompts, "tokens of the prompt, in steps of 512; 0: none", atLeast(0, "N,..."))
      ->delimiter(',');
  number("-n,--gen", settings.generate, "tokens to generate for each sequence; 0: none", atLeast(0, "N"));
  number("-d,--depth", settings.depths, "tokens in each sequence before the measurement", atLeast(0, "N,..."))
      ->delimiter(',');
  number("-b,--batch", settings.batches, "sequences that generate together", numberIn(1, 1024, "N,..."))
      ->delimiter(',');
  number("-t,--threads", settings.threads, "0: as many as this process may use", numberIn(0, 1024, "N"));
  number("-r,--repetitions", settings.rounds, "rounds, each of all measurements", atLeast(1, "N"));
  app->add_flag("--json", command->json, "as JSON");
  app->add_flag("-v,--verbose", command->verbose, "also how threads and memory were placed, and why");
  command->flags.add(*app, /*jit=*/true);
  addExamples(*app,
              "  llmc bench model.so\n"
              "  llmc bench model.so -p 512,2048 -n 64 -d 0,2048 -b 1,4,16 -t 2 --json\n"
              "Token ids are random, the same in every run. A depth is filled by real prefill, once. The limit is\n"
              "memory or arithmetic, whichever takes longer for the bytes that a step has to read and the\n"
              "operations that it has to do; both are probed in the same round with as many threads.");
  return {app, [command] { return bench(*command); }};
}

} // namespace llmc::cli
