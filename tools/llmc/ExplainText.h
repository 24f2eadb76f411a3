// What `llmc explain` found, for people and as JSON.
#pragma once
#include "tools/llmc/ExplainStep.h"
#include "tools/probe/HostLimits.h"
#include <nlohmann/json_fwd.hpp>

namespace llmc::cli {

struct Explanation {
  std::string name, target; // of the model; of the code
  HostRates host;
  std::vector<StepReport> steps;
  std::vector<std::pair<std::string, int64_t>> refusals; // "pass: reason", how often
};

void printText(const Explanation &explanation);
nlohmann::ordered_json toJson(const Explanation &explanation);

} // namespace llmc::cli
