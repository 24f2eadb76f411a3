// llmc run: a prompt, token ids or a conversation through a model, compiled or not.
#include "tools/llmc/Chat.h"
#include "tools/llmc/Commands.h"
#include "tools/llmc/GraphRun.h"
#include "tools/llmc/Progress.h"
#include "tools/llmc/Usage.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace llmc::cli {
namespace {

struct RunCommand {
  std::string model, prompt, tokens, dump;
  std::vector<int32_t> ids; // of --tokens
  bool chat = false, raw = false, ignoreEos = false, verbose = false;
  int64_t maxNewTokens = 0, threads = 0;
  llmc_sampler_options sampling = {};
  CompileFlags flags;
  GraphRequest graph; // --input, --output-dir
  CLI::Option *promptOption = nullptr, *tokensOption = nullptr;
};

/// Sums over the answers of a run.
struct Statistics {
  double start = now(), loadSeconds = 0, firstToken = 0, promptSeconds = 0, decodeSeconds = 0;
  int64_t promptTokens = 0, newTokens = 0, decoded = 0;

  void add(const Generation &g) {
    if (newTokens == 0) firstToken = g.firstToken;
    promptTokens += g.promptTokens, newTokens += int64_t(g.tokens.size()), decoded += int64_t(g.tokens.size()) - 1;
    promptSeconds += g.promptSeconds, decodeSeconds += g.decodeSeconds;
  }
};

double rate(int64_t count, double seconds) { return seconds > 0 ? double(count) / seconds : 0; }

void printStatistics(const Statistics &s, const Session &session, bool verbose) {
  const Model &model = session.model();
  llvm::errs() << llvm::format("load %.0f ms, first token %.0f ms after the start, prompt %lld tokens at %.1f/s, "
                               "generated %lld at %.1f/s, peak memory %.0f MB, %lld threads, code for %s\n",
                               s.loadSeconds * 1e3, (s.firstToken - s.start) * 1e3, (long long)s.promptTokens,
                               rate(s.promptTokens, s.promptSeconds), (long long)s.newTokens,
                               rate(s.decoded, s.decodeSeconds), double(peakMemory()) / 1e6,
                               (long long)session.threads(), model.info().target);
  if (verbose) llvm::errs() << session.describe() << "kernels: " << llvm::join(model.kernels(), ", ") << "\n";
}

/// "1,2,3"; an empty list or one with anything else in it is false.
bool parseIds(llvm::StringRef text, std::vector<int32_t> &ids) {
  llvm::SmallVector<llvm::StringRef> parts;
  text.split(parts, ',');
  for (llvm::StringRef part : parts) {
    int32_t id;
    if (part.trim().getAsInteger(10, id)) return false;
    ids.push_back(id);
  }
  return true;
}

/// "" or what is wrong with the command line.
std::string checkUsage(RunCommand &command) {
  if (command.graph.given()) {
    if (command.chat || command.promptOption->count() || command.tokensOption->count() || !command.dump.empty())
      return "found --input or --output-dir and a text or tokens, expected one of them";
    return "";
  }
  if (command.graph.json) return "--json: expected --input or --output-dir with it";
  int modes = command.chat + (command.promptOption->count() > 0) + (command.tokensOption->count() > 0);
  if (modes != 1)
    return "found " + std::string(modes ? "several" : "none") + " of -p, --chat, --tokens and --input, expected one";
  if (command.promptOption->count() && command.prompt.empty()) return "--prompt: found no text, expected some";
  if (command.tokensOption->count() && !parseIds(command.tokens, command.ids))
    return "--tokens: found '" + command.tokens + "', expected token ids with commas: 1,2,3";
  if (command.raw && !command.promptOption->count()) return "--raw: expected -p PROMPT with it";
  if (command.chat && !command.dump.empty()) return "--dump-logits: found --chat, expected -p or --tokens with it";
  return "";
}

llvm::Expected<std::vector<int32_t>> promptIds(const RunCommand &command, const Model &model,
                                               const Prompter *prompter) {
  if (prompter && !command.raw && prompter->hasTemplate())
    return prompter->chat(nlohmann::json::array({{{"role", "user"}, {"content", command.prompt}}}));
  if (prompter) return prompter->plain(command.prompt);
  for (int32_t id : command.ids)
    if (id < 0 || id >= model.vocab())
      return llvm::createStringError("tokens: found " + std::to_string(id) + ", expected ids from 0 to " +
                                     std::to_string(model.vocab() - 1));
  return command.ids;
}

/// Ids in, ids out: with commas, as --tokens takes them.
llvm::Expected<Generation> generateIds(Session &session, Sampler &sampler, llvm::ArrayRef<int32_t> prompt,
                                       const GenerateOptions &options, LogitsFile *rows) {
  bool first = true;
  auto result = generate(
      session, sampler, prompt, options,
      [&](int32_t token) {
        llvm::outs() << (first ? "" : ",") << token;
        llvm::outs().flush();
        first = false;
        return llvm::Error::success();
      },
      rows);
  llvm::outs() << "\n";
  llvm::outs().flush();
  return result;
}

/// One prompt: its answer, and its logits if they are wanted.
llvm::Error answer(const RunCommand &command, Session &session, Sampler &sampler, const Prompter *prompter,
                   llvm::ArrayRef<int32_t> prompt, Statistics &statistics) {
  if (prompt.empty()) return llvm::createStringError("prompt: found no token, expected at least one");
  auto room = roomFor(session, int64_t(prompt.size()), command.maxNewTokens);
  if (!room) return room.takeError();
  GenerateOptions options = {.maxNewTokens = *room, .ignoreEos = command.ignoreEos};
  std::unique_ptr<LogitsFile> rows;
  if (!command.dump.empty()) {
    auto file = LogitsFile::create(command.dump, session.model().vocab());
    if (!file) return file.takeError();
    rows = std::move(*file);
  }
  auto result = prompter ? generateText(session, sampler, *prompter, prompt, options, rows.get())
                         : generateIds(session, sampler, prompt, options, rows.get());
  if (!result) return result.takeError();
  statistics.add(*result);
  if (!rows) return llvm::Error::success();
  std::vector<int32_t> all(prompt.begin(), prompt.end());
  all.insert(all.end(), result->tokens.begin(), result->tokens.end());
  return rows->finish(all);
}

llvm::Error runModel(const RunCommand &command, const Model &model, Statistics &statistics) {
  std::optional<Prompter> prompter;
  if (command.ids.empty()) {
    auto made = Prompter::create(model);
    if (!made) return made.takeError();
    prompter.emplace(std::move(*made));
  }
  std::vector<int32_t> prompt;
  if (!command.chat) {
    auto ids = promptIds(command, model, prompter ? &*prompter : nullptr);
    if (!ids) return ids.takeError();
    prompt = std::move(*ids);
  }
  // The cache is as large as the run needs: a conversation takes the default.
  int64_t wanted = command.maxNewTokens ? int64_t(prompt.size()) + command.maxNewTokens : 0;
  int64_t positions = command.chat ? 0 : std::max(wanted, int64_t(prompt.size()) + 512);
  auto session = Session::create(model, positions, command.threads);
  if (!session) return session.takeError();
  auto sampler = Sampler::create(model, command.sampling);
  if (!sampler) return sampler.takeError();
  statistics.loadSeconds = now() - statistics.start;
  GenerateOptions options = {.maxNewTokens = command.maxNewTokens, .ignoreEos = command.ignoreEos};
  llvm::Error error =
      command.chat ? converse(**session, **sampler, *prompter, options, [&](const Generation &g) { statistics.add(g); })
                   : answer(command, **session, **sampler, prompter ? &*prompter : nullptr, prompt, statistics);
  if (error) return error;
  if (command.verbose || isatty(STDERR_FILENO)) printStatistics(statistics, **session, command.verbose);
  return llvm::Error::success();
}

int run(RunCommand &command) {
  if (std::string wrong = checkUsage(command); !wrong.empty()) return failUsage(wrong + "; see llmc run --help");
  Statistics statistics;
  command.flags.options().threads = unsigned(command.threads);
  std::unique_ptr<Model> model;
  {
    ProgressLine line;
    auto loaded = Model::load(command.model, command.flags.options(), line.callbacks());
    if (!loaded) {
      line.clear();
      return fail(loaded.takeError());
    }
    model = std::move(*loaded);
  }
  if (std::string given = command.flags.given(); !model->compiledHere() && !given.empty())
    return failUsage(given + ": found the compiled " + command.model + ", expected a model that is not compiled yet");
  if (command.graph.given()) {
    llvm::Error error = runGraph(*model, command.graph);
    return error ? fail(about(command.model, std::move(error))) : 0;
  }
  if (model->isGraph() && model->vocab() <= 0)
    return fail(llvm::createStringError(command.model +
                                        ": found no logits of known size among the outputs of this plain "
                                        "graph; give its inputs with --input"));
  if (llvm::Error error = runModel(command, *model, statistics)) return fail(about(command.model, std::move(error)));
  return 0;
}

void addSampling(CLI::App &app, RunCommand &command) {
  const char *group = "Sampling";
  auto option = [&](const char *name, auto &value, const char *help, CLI::Validator check) {
    restrict(app.add_option(name, value, help), std::move(check))->group(group);
  };
  option("--temperature", command.sampling.temperature,
         "0, the default, always takes the most likely token: the same answer every time. 0.7 is lively",
         numberIn(0, 100, "T"));
  option("--top-k", command.sampling.top_k, "only the k most likely tokens; 0: all", atLeast(0, "K"));
  option("--top-p", command.sampling.top_p, "only the fewest tokens whose probabilities add up to p; 0 or 1: all",
         numberIn(0, 1, "P"));
  option("--seed", command.sampling.seed, "of the random numbers; the same seed draws the same tokens",
         atLeast(0, "SEED"));
}

} // namespace

Command addRun(CLI::App &llmc) {
  CLI::App *app = llmc.add_subcommand(
      "run", "run a model: answer a prompt, talk, continue token ids, or compute a graph's outputs");
  auto command = std::make_shared<RunCommand>();
  app->add_option("MODEL", command->model, "compiled .so, Hugging Face folder, .gguf or .onnx")->required();
  auto number = [&](const char *name, int64_t &value, const char *help, CLI::Validator check) {
    restrict(app->add_option(name, value, help), std::move(check));
  };
  command->promptOption = app->add_option("-p,--prompt", command->prompt,
                                          "a user's message, put through the model's chat template if it has one");
  app->add_flag("--raw", command->raw, "with -p: continue the text as it is, without the chat template");
  app->add_flag("--chat", command->chat, "a conversation: each line of stdin is a message");
  command->tokensOption =
      app->add_option("--tokens", command->tokens, "token ids with commas; needs no tokenizer and prints ids")
          ->type_name("IDS");
  number("-n,--max-new-tokens", command->maxNewTokens, "at most; if not given 512, or what the context has room for",
         atLeast(1, "N"));
  number("--threads", command->threads, "0: as many as this process may use", numberIn(0, 1024, "N"));
  app->add_flag("--ignore-eos", command->ignoreEos, "go on after the model's end token");
  app->add_option("--dump-logits", command->dump,
                  "write tensors tokens (I64 [T+G]: prompt, generated) and logits (F32 [T+G-1, vocab]: row i is the "
                  "output after token i)")
      ->type_name("FILE.safetensors");
  addGraphOptions(*app, command->graph);
  app->add_flag("-v,--verbose", command->verbose,
                "print statistics, the placement of threads and memory, and kernels on stderr");
  addSampling(*app, *command);
  command->flags.add(*app, /*jit=*/true);
  addExamples(*app, "  llmc run model.so -p \"What is the capital of France?\"\n"
                    "  llmc run model.so --chat --temperature 0.7 --top-p 0.9 --seed 1\n"
                    "  llmc run base-model.so --raw -p \"Once upon a time\" -n 100\n"
                    "  llmc run model.gguf --compute=f32 --tokens 1,15043 -n 8 --dump-logits out.safetensors\n"
                    "  llmc run encoder.onnx --input x=x.npy --input mask=mask.npy --output-dir out");
  return {app, [command] { return run(*command); }};
}

} // namespace llmc::cli
