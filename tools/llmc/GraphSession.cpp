#include "tools/llmc/GraphSession.h"
#include "tools/llmc/Npy.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include <limits>

namespace llmc::cli {
namespace {

using llvm::StringRef;

/// What an input of a decoder is for.
enum class Role { Ids, Mask, Positions, NewPositions, Past, PastIsUsed, LogitsKept, Zeros };
struct RoleRow {
  const char *name;
  Role role;
};
constexpr RoleRow kRoles[] = {
    {"input_ids", Role::Ids},
    {"attention_mask", Role::Mask},
    {"position_ids", Role::Positions},
    {"cache_position", Role::NewPositions},
    {"use_cache_branch", Role::PastIsUsed},
    {"num_logits_to_keep", Role::LogitsKept},
    {"logits_to_keep", Role::LogitsKept},
    {"token_type_ids", Role::Zeros},
};

/// "past_key_values.3.key", "present.3.key", "past_key_3": the layer and which of the two. {3, 'k'}
std::pair<int64_t, char> cacheKey(StringRef name) {
  for (const char *prefix : {"past_key_values", "present_key_values", "past", "present"})
    if (name.consume_front(prefix)) break;
  char kind = name.contains("key") ? 'k' : name.contains("value") ? 'v' : ' ';
  StringRef digits = name.drop_until([](char c) { return isdigit(static_cast<unsigned char>(c)); });
  int64_t layer = -1;
  digits.take_while([](char c) { return isdigit(static_cast<unsigned char>(c)); }).getAsInteger(10, layer);
  return {layer, kind};
}

/// Appends a whole number as an element of the type; false if the type is not for numbers.
bool appendNumber(std::vector<char> &bytes, int32_t type, int64_t number) {
  auto append = [&](auto value) {
    bytes.insert(bytes.end(), reinterpret_cast<char *>(&value), reinterpret_cast<char *>(&value) + sizeof value);
    return true;
  };
  switch (type) {
  case LLMC_I64: return append(int64_t(number));
  case LLMC_I32: return append(int32_t(number));
  case LLMC_BOOL: return append(char(number != 0));
  case LLMC_F32: return append(float(number));
  case LLMC_F64: return append(double(number));
  case LLMC_F16:
    return append(uint16_t(llvm::APFloat(llvm::APFloat::IEEEhalf(), number).bitcastToAPInt().getZExtValue()));
  case LLMC_BF16:
    return append(uint16_t(llvm::APFloat(llvm::APFloat::BFloat(), number).bitcastToAPInt().getZExtValue()));
  default: return false;
  }
}

float floatAt(const llmc_tensor &tensor, int64_t i) {
  auto wide = [&](const llvm::fltSemantics &semantics) {
    llvm::APFloat value(semantics, llvm::APInt(16, static_cast<const uint16_t *>(tensor.data)[i]));
    bool lossy;
    value.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &lossy);
    return value.convertToFloat();
  };
  switch (tensor.type) {
  case LLMC_F32: return static_cast<const float *>(tensor.data)[i];
  case LLMC_F64: return float(static_cast<const double *>(tensor.data)[i]);
  case LLMC_F16: return wide(llvm::APFloat::IEEEhalf());
  default: return wide(llvm::APFloat::BFloat());
  }
}
bool isFloat(int32_t type) { return llvm::is_contained({LLMC_F32, LLMC_F64, LLMC_F16, LLMC_BF16}, type); }

struct Bound {
  const llmc_value_info *info;
  Role role;
  size_t present = 0; // output, of Role::Past
};

class GraphSession : public Session {
public:
  GraphSession(const Model &model, int64_t positions) : Session(model) {
    int64_t most = model.info().max_context > 0 ? model.info().max_context : kDefaultPositions * 64;
    limit = positions ? std::min(positions, most) : std::min(most, kDefaultPositions);
  }
  ~GraphSession() override { owner.api().graphResultFree(before); }
  llvm::Error bind();
  int64_t threads() const override { return 1; }
  std::string describe() const override { return "a plain graph: one thread\n"; }
  int64_t length() const override { return int64_t(fed.size()); }
  /// What is kept is computed again when something follows.
  llvm::Error truncate(int64_t length) override;
  llvm::Error feed(llvm::ArrayRef<int32_t> tokens, int64_t best, LogitsFile *rows) override;
  const float *lastLogits() const override { return last.data(); }
  const llmc_candidate *lastBest(int64_t *) const override { return nullptr; }

private:
  llvm::Error bindPast();
  llvm::Expected<OwnedTensor> make(const Bound &input, llvm::ArrayRef<int32_t> tokens, int64_t past) const;
  OwnedTensor emptyPast(const Bound &input) const;
  llvm::Error takeLogits(const llmc_tensor &logits, size_t count, LogitsFile *rows);

  std::vector<Bound> inputs;
  size_t logits = 0; // output
  bool caches = false;
  std::vector<int32_t> fed;
  int64_t cached = 0; // of those, in `before`
  llmc_graph_result *before = nullptr;
  std::vector<float> last;
};

llvm::Error GraphSession::bind() {
  llvm::ArrayRef<llmc_value_info> outputs = owner.graphOutputs();
  const llmc_value_info *found = findLogits(outputs);
  if (!found) return llvm::createStringError("found no output with logits, expected one");
  logits = size_t(found - outputs.data());
  bool ids = false;
  for (const llmc_value_info &info : owner.graphInputs()) {
    const RoleRow *row = llvm::find_if(kRoles, [&](const RoleRow &r) { return StringRef(info.name) == r.name; });
    if (row != std::end(kRoles)) {
      inputs.push_back({&info, row->role});
      ids |= row->role == Role::Ids;
    } else if (StringRef(info.name).starts_with("past")) {
      inputs.push_back({&info, Role::Past});
    } else {
      return llvm::createStringError("input '" + std::string(info.name) +
                                     "': found one that is not known of a decoder; give all inputs with --input");
    }
  }
  if (!ids) return llvm::createStringError("found no input input_ids, expected one; give all inputs with --input");
  return bindPast();
}

/// Each past_* input to the present_* output of its name; of other names, in their order.
llvm::Error GraphSession::bindPast() {
  llvm::ArrayRef<llmc_value_info> outputs = owner.graphOutputs();
  std::vector<Bound *> pasts;
  for (Bound &input : inputs)
    if (input.role == Role::Past) pasts.push_back(&input);
  caches = !pasts.empty();
  std::vector<size_t> presents;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (i != logits && outputs[i].rank == (caches ? pasts.front()->info->rank : 0)) presents.push_back(i);
  std::vector<bool> isTaken(outputs.size());
  bool named = true;
  for (Bound *past : pasts) {
    auto match = llvm::find_if(presents, [&](size_t i) {
      return !isTaken[i] && StringRef(outputs[i].name).starts_with("present") &&
             cacheKey(outputs[i].name) == cacheKey(past->info->name);
    });
    named &= match != presents.end();
    if (!named) break;
    past->present = *match;
    isTaken[*match] = true;
  }
  if (!named && presents.size() == pasts.size()) {
    for (auto [past, present] : llvm::zip(pasts, presents)) past->present = present;
    named = true;
  }
  if (!named)
    return llvm::createStringError("found past inputs that no present outputs belong to; give all inputs with --input");
  for (Bound *past : pasts)
    if (outputs[past->present].type != past->info->type)
      return llvm::createStringError("input '" + std::string(past->info->name) +
                                     "': found another type than that of '" + outputs[past->present].name + "'");
  return llvm::Error::success();
}

/// Zeros of no positions; a cache of a fixed size has all of them. One that slides (the model builder's
/// past_sliding_length) has room for as many as its caller gives it: all, so that it never slides.
OwnedTensor GraphSession::emptyPast(const Bound &input) const {
  const llmc_value_info &present = owner.graphOutputs()[input.present];
  OwnedTensor tensor;
  tensor.view.type = input.info->type, tensor.view.rank = input.info->rank;
  int64_t bytes = llmc_element_bytes(input.info->type);
  for (int32_t i = 0; i < input.info->rank; ++i) {
    bool isPosition = i == input.info->rank - 2;
    int64_t dim = input.info->dims[i];
    if (dim < 0 && !isPosition) dim = present.dims[i];
    bool slides = isPosition && StringRef(input.info->symbols[i]).contains("sliding");
    tensor.view.dims[i] = dim >= 0 ? dim : slides ? limit : isPosition ? 0 : 1;
    bytes *= tensor.view.dims[i];
  }
  tensor.bytes.resize(size_t(bytes));
  tensor.view.data = tensor.bytes.data();
  return tensor;
}

llvm::Expected<OwnedTensor> GraphSession::make(const Bound &input, llvm::ArrayRef<int32_t> tokens, int64_t past) const {
  OwnedTensor tensor;
  int64_t count = int64_t(tokens.size()), length = count;
  std::function<int64_t(int64_t)> value;
  switch (input.role) {
  case Role::Past: return emptyPast(input);
  case Role::Ids: value = [&](int64_t i) { return tokens[i]; }; break;
  case Role::Mask: length = past + count, value = [](int64_t) { return 1; }; break;
  case Role::Positions:
  case Role::NewPositions: value = [&](int64_t i) { return past + i; }; break;
  case Role::PastIsUsed: length = 1, value = [&](int64_t) { return past > 0; }; break;
  case Role::LogitsKept: length = 1, value = [](int64_t) { return 0; }; break; // 0: all
  case Role::Zeros: value = [](int64_t) { return 0; }; break;
  }
  int32_t rank = input.info->rank;
  if (rank > 2)
    return llvm::createStringError("input '" + std::string(input.info->name) + "': found " + std::to_string(rank) +
                                   " dims, expected 2; give all inputs with --input");
  tensor.view.type = input.info->type, tensor.view.rank = rank;
  if (rank == 2) tensor.view.dims[0] = 1;
  if (rank) tensor.view.dims[rank - 1] = length;
  for (int64_t i = 0; i < length; ++i)
    if (!appendNumber(tensor.bytes, input.info->type, value(i)))
      return llvm::createStringError("input '" + std::string(input.info->name) + "': found elements of " +
                                     llmc_element_name(input.info->type) + ", expected numbers");
  tensor.view.data = tensor.bytes.data();
  return tensor;
}

llvm::Error GraphSession::truncate(int64_t length) {
  if (length == int64_t(fed.size())) return llvm::Error::success();
  fed.resize(size_t(length));
  owner.api().graphResultFree(before);
  before = nullptr, cached = 0;
  return llvm::Error::success();
}

/// The last rows of the logits belong to the last tokens.
llvm::Error GraphSession::takeLogits(const llmc_tensor &tensor, size_t count, LogitsFile *rows) {
  int64_t vocab = owner.vocab(), total = vocab ? elementsOf(tensor) / vocab : 0;
  if (!isFloat(tensor.type) || total == 0)
    return llvm::createStringError("logits: found " + typeText(tensor.type, {tensor.dims, size_t(tensor.rank)}) +
                                   ", expected a row of " + std::to_string(vocab) + " floats for each token");
  auto read = [&](int64_t row) {
    for (int64_t i = 0; i < vocab; ++i) last[i] = floatAt(tensor, row * vocab + i);
  };
  last.resize(size_t(vocab));
  for (int64_t i = int64_t(count); rows && i > 0; --i) {
    if (i <= total)
      read(total - i);
    else
      std::fill(last.begin(), last.end(), std::numeric_limits<float>::quiet_NaN());
    if (llvm::Error error = rows->addRow(last.data())) return error;
  }
  read(total - 1);
  return llvm::Error::success();
}

llvm::Error GraphSession::feed(llvm::ArrayRef<int32_t> tokens, int64_t, LogitsFile *rows) {
  fed.insert(fed.end(), tokens.begin(), tokens.end());
  llvm::ArrayRef<int32_t> now = llvm::ArrayRef(fed).drop_front(size_t(cached));
  std::vector<OwnedTensor> made;
  std::vector<llmc_tensor> views;
  made.reserve(inputs.size());
  for (const Bound &input : inputs) {
    if (input.role == Role::Past && before) {
      views.push_back(*owner.api().graphResultOutput(before, int64_t(input.present)));
      continue;
    }
    llvm::Expected<OwnedTensor> tensor = make(input, now, cached);
    if (!tensor) return tensor.takeError();
    made.push_back(std::move(*tensor));
    views.push_back(made.back().view);
  }
  llmc_graph_result *result;
  llmc_error error;
  if (owner.api().graphRun(owner.handle(), views.data(), int64_t(views.size()), &result, &error))
    return apiError(error);
  owner.api().graphResultFree(before);
  before = result;
  if (caches) cached = int64_t(fed.size());
  return takeLogits(*owner.api().graphResultOutput(result, int64_t(logits)), tokens.size(), rows);
}

} // namespace

const llmc_value_info *findLogits(llvm::ArrayRef<llmc_value_info> outputs) {
  for (const llmc_value_info &output : outputs)
    if (StringRef(output.name) == "logits" && isFloat(output.type) && output.rank > 0) return &output;
  for (const llmc_value_info &output : outputs)
    if (isFloat(output.type) && (output.rank == 2 || output.rank == 3)) return &output;
  return nullptr;
}

llvm::Expected<std::unique_ptr<Session>> createGraphSession(const Model &model, int64_t positions) {
  auto session = std::make_unique<GraphSession>(model, positions);
  if (llvm::Error error = session->bind()) return std::move(error);
  return session;
}

} // namespace llmc::cli
