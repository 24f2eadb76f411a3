#include "tools/llmc/Profile.h"
#include "llvm/Object/ELFObjectFile.h"
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

namespace llmc::cli {
namespace {

constexpr long kInterval = 250'000; // nanoseconds
constexpr size_t kMostSamples = 1 << 18;

// What the signal handler writes: nothing else is safe there.
uint64_t samples[kMostSamples];
std::atomic<size_t> sampleCount;

uint64_t instructionOf(const ucontext_t *context) {
#if defined(__x86_64__)
  return uint64_t(context->uc_mcontext.gregs[REG_RIP]);
#else
  return context->uc_mcontext.pc;
#endif
}

void note(int, siginfo_t *, void *context) {
  size_t index = sampleCount.fetch_add(1, std::memory_order_relaxed);
  if (index < kMostSamples) samples[index] = instructionOf(static_cast<const ucontext_t *>(context));
}

llvm::Error systemError(const char *what) {
  return llvm::createStringError(std::string(what) + ": " + strerror(errno));
}

} // namespace

llvm::Expected<Symbols> Symbols::read(const std::string &path, llvm::StringRef known, const void *address) {
  auto binary = llvm::object::ObjectFile::createObjectFile(path);
  if (!binary) return binary.takeError();
  auto *elf = llvm::dyn_cast<llvm::object::ELFObjectFileBase>(binary->getBinary());
  Symbols symbols;
  uint64_t base = 0;
  if (elf)
    for (const llvm::object::ELFSymbolRef &symbol : elf->symbols()) {
      llvm::Expected<llvm::StringRef> name = symbol.getName();
      llvm::Expected<uint64_t> value = symbol.getAddress();
      if (!name || !value || symbol.getELFType() != llvm::ELF::STT_FUNC || symbol.getSize() == 0) {
        llvm::consumeError(name.takeError()), llvm::consumeError(value.takeError());
        continue;
      }
      if (*name == known) base = reinterpret_cast<uint64_t>(address) - *value;
      symbols.functions.push_back({*value, *value + symbol.getSize(), name->str()});
    }
  if (!base)
    return llvm::createStringError("found no symbol " + known + ", expected the symbol table that llmc compile writes");
  for (Function &f : symbols.functions) f.begin += base, f.end += base;
  llvm::sort(symbols.functions, [](const Function &a, const Function &b) { return a.begin < b.begin; });
  return symbols;
}

bool Symbols::has(llvm::StringRef name) const {
  return llvm::any_of(functions, [&](const Function &f) { return f.name == name; });
}

llvm::StringRef Symbols::find(uint64_t address) const {
  auto after = llvm::upper_bound(functions, address, [](uint64_t at, const Function &f) { return at < f.begin; });
  if (after == functions.begin() || address >= std::prev(after)->end) return "";
  return std::prev(after)->name;
}

llvm::Expected<std::unique_ptr<Profiler>> Profiler::start() {
  std::unique_ptr<Profiler> profiler(new Profiler);
  sampleCount = 0;
  struct sigaction action = {};
  action.sa_sigaction = note;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  if (sigaction(SIGPROF, &action, nullptr)) return systemError("sigaction");
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event._sigev_un._tid = pid_t(syscall(SYS_gettid));
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer)) return systemError("timer_create");
  profiler->timer = timer;
  itimerspec every = {.it_interval = {0, kInterval}, .it_value = {0, kInterval}};
  if (timer_settime(timer, 0, &every, nullptr)) return systemError("timer_settime");
  return profiler;
}

Profiler::~Profiler() {
  if (!timer) return;
  timer_delete(timer);
  signal(SIGPROF, SIG_IGN);
}

std::map<std::string, int64_t> Profiler::count(const Symbols &symbols) const {
  std::map<std::string, int64_t> counts;
  size_t taken = std::min(sampleCount.load(), kMostSamples);
  for (size_t i = 0; i < taken; ++i) {
    std::string name = symbols.find(samples[i]).str();
    Dl_info found;
    if (name.empty() && dladdr(reinterpret_cast<void *>(samples[i]), &found) && found.dli_sname) name = found.dli_sname;
    ++counts[name];
  }
  return counts;
}

} // namespace llmc::cli
