#include "tools/llmc/Progress.h"
#include <chrono>
#include <fstream>
#include <unistd.h>

namespace llmc::cli {

ProgressLine::ProgressLine() : terminal(isatty(STDERR_FILENO)) {}
ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::show(const std::string &text) {
  if (!terminal) return;
  std::string padding(shown > text.size() ? shown - text.size() : 0, ' ');
  fprintf(stderr, "\r%s%s", text.c_str(), padding.c_str());
  fflush(stderr);
  shown = text.size();
}

void ProgressLine::clear() {
  if (!shown) return;
  show("");
  fputc('\r', stderr);
}

Progress ProgressLine::callbacks() {
  Progress progress;
  progress.stage = [this](llvm::StringRef what) {
    stage = what.str();
    percent = -1;
    show(stage + " ...");
  };
  progress.weights = [this](uint64_t done, uint64_t total) {
    int now = total ? int(100.0 * double(done) / double(total)) : 100;
    if (now == percent) return;
    percent = now;
    constexpr int width = 30;
    int filled = now * width / 100;
    show(stage + " [" + std::string(filled, '#') + std::string(width - filled, ' ') + "] " + std::to_string(now) +
         " %");
  };
  progress.warning = [this](llvm::StringRef text) {
    clear();
    fprintf(stderr, "warning: %s\n", text.str().c_str());
  };
  return progress;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

uint64_t peakMemory() {
  // Not getrusage: its maximum is that of the program that was there before exec, too.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stoull(line.substr(6)) * 1024;
  return 0;
}

} // namespace llmc::cli
