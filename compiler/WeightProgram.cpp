#include "compiler/WeightProgram.h"
#include "codegen/kernels/matmul/Pack.h"
#include "compiler/WeightFiles.h"
#include "compiler/WeightRows.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/support/Schemes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"
#include <atomic>
#include <mutex>
#include <thread>

namespace llmc {
namespace {

WeightFormat formatOf(wq::SchemeAttr scheme) {
  static_assert(unsigned(wq::Kind::F32) == unsigned(WeightKind::F32) &&
                unsigned(wq::Kind::I8) == unsigned(WeightKind::I8) &&
                unsigned(wq::ScaleType::F32) == unsigned(ScaleType::F32) &&
                unsigned(wq::Offset::MinF32) == unsigned(Offset::MinF32));
  return {WeightKind(unsigned(scheme.getKind())), scheme.getGroup(), ScaleType(unsigned(scheme.getScale())),
          Offset(unsigned(scheme.getOffset()))};
}

/// One wq.store: a weight and its place.
struct Store {
  std::string name; // of the symbol and of the weights, for messages
  std::unique_ptr<WeightSource> source;
  std::vector<const llm::WeightView *> inputs;
  WeightFormat format;
  bool isVector = false;
  uint64_t offset = 0, bytes = 0;

  int64_t panels() const { return isVector ? 1 : (source->rows + kPanel - 1) / kPanel; }
  uint64_t panelBytes() const { return isVector ? bytes : format.panelBytes(source->k); }
};

llvm::Expected<Store> makeStore(wq::StoreOp op, mlir::ModuleOp module, llvm::ArrayRef<llm::InputFile> files) {
  Store store;
  store.name = op.getPacked().str();
  auto fail = [&](const llvm::Twine &message) { return llvm::createStringError(store.name + ": " + message); };
  auto packed = module.lookupSymbol<wq::PackedOp>(op.getPacked());
  auto pack = op.getW().getDefiningOp<wq::PackOp>();
  if (!packed || !pack) return fail("expected a wq.packed symbol and a wq.pack to store there");
  if (packed.getType() != op.getW().getType()) return fail("found a stored type that differs from the symbol's");
  auto source = makeWeightSource(pack.getW(), module, files);
  if (!source) return fail(llvm::toString(source.takeError()));
  auto type = llvm::cast<mlir::RankedTensorType>(packed.getType());
  store.source = std::move(*source);
  store.source->inputs(store.inputs);
  if (!store.inputs.empty())
    store.name += " (" + llvm::join(llvm::map_range(store.inputs, [](auto *view) { return view->name(); }), ", ") + ")";
  store.format = formatOf(llvm::cast<wq::PackedType>(type.getElementType()).getScheme());
  store.isVector = type.getRank() == 1;
  store.offset = packed.getOffset(), store.bytes = packed.getBytes();
  if (store.isVector && store.format.kind != WeightKind::F32)
    return fail("found a vector of " + store.format.name() + ", expected f32 (wq.decode makes it)");
  int64_t expected = store.isVector ? roundUp(store.source->rows, kPanel) * 4
                                    : store.format.bytes(store.source->rows, store.source->k);
  if (int64_t(store.bytes) != expected)
    return fail(llvm::formatv("found size {0}, expected {1}", store.bytes, expected).str());
  return store;
}

llvm::Error checkPlaces(std::vector<const Store *> stores) {
  llvm::sort(stores, [](const Store *a, const Store *b) { return a->offset < b->offset; });
  for (size_t i = 1; i < stores.size(); ++i)
    if (stores[i]->offset < stores[i - 1]->offset + stores[i - 1]->bytes)
      return llvm::createStringError(llvm::formatv("{0}: found offset {1}, expected at least {2}, the end of {3}",
                                                   stores[i]->name, stores[i]->offset,
                                                   stores[i - 1]->offset + stores[i - 1]->bytes, stores[i - 1]->name));
  return llvm::Error::success();
}

llvm::Expected<std::vector<Store>> makeStores(mlir::ModuleOp module, llvm::ArrayRef<llm::InputFile> files) {
  std::vector<Store> stores;
  auto program = module.lookupSymbol<mlir::func::FuncOp>(kPack);
  llvm::StringMap<int> count;
  llvm::Error failure = llvm::Error::success();
  if (program)
    program.walk([&](wq::StoreOp op) {
      if (failure) return;
      if (++count[op.getPacked()] > 1) {
        failure = llvm::createStringError(op.getPacked() + ": found two stores of one packed weight");
      } else if (auto store = makeStore(op, module, files)) {
        stores.push_back(std::move(*store));
      } else {
        failure = store.takeError();
      }
    });
  if (failure) return failure;
  for (auto packed : module.getOps<wq::PackedOp>())
    if (!count.contains(packed.getSymName()))
      return llvm::createStringError(packed.getSymName() + ": found no wq.store of this packed weight");
  std::vector<const Store *> pointers;
  for (const Store &store : stores) pointers.push_back(&store);
  if (llvm::Error error = checkPlaces(std::move(pointers))) return error;
  return stores;
}

/// The panels of all stores, in order, taken by the threads one by one.
class Runner {
public:
  Runner(std::vector<Store> list, const WeightFiles &files, WeightSink &sink, const WeightProgramOptions &options)
      : stores(std::move(list)), files(files), sink(sink), options(options), panelsLeft(stores.size()) {
    for (size_t s = 0; s < stores.size(); ++s) {
      firstPanel.push_back(panels);
      panels += stores[s].panels();
      panelsLeft[s] = stores[s].panels();
      total += stores[s].bytes;
    }
  }

  llvm::Error run() {
    std::vector<std::thread> team;
    for (unsigned t = 1; t < options.threads; ++t) team.emplace_back([this] { work(); });
    work();
    for (std::thread &thread : team) thread.join();
    return std::move(failure);
  }

private:
  void work() {
    WeightScratch scratch;
    std::vector<uint8_t> packed;
    for (int64_t job; (job = next++) < panels;) {
      size_t s = std::upper_bound(firstPanel.begin(), firstPanel.end(), job) - firstPanel.begin() - 1;
      llvm::Error error = packOne(stores[s], job - firstPanel[s], scratch, packed);
      if (error) return fail(job, stores[s].name, std::move(error));
      for (llvm::ArrayRef<uint8_t> bytes : scratch.consumed) files.release(bytes);
      if (--panelsLeft[s] == 0)
        for (const llm::WeightView *input : stores[s].inputs)
          for (llvm::ArrayRef<uint8_t> bytes : input->parts()) files.release(bytes);
      report(stores[s].panelBytes());
    }
  }

  llvm::Error packOne(const Store &store, int64_t panel, WeightScratch &scratch, std::vector<uint8_t> &packed) {
    const WeightSource &source = *store.source;
    int64_t begin = store.isVector ? 0 : panel * kPanel;
    int64_t count = store.isVector ? source.rows : std::min(kPanel, source.rows - begin);
    WeightRows &rows = scratch.level(0);
    scratch.consumed.clear();
    source.prepare(rows, count);
    if (llvm::Error error = source.pull(begin, count, scratch, 1, rows)) return error;
    if (packed.size() < store.panelBytes()) packed.resize(store.panelBytes());
    if (store.isVector) {
      memcpy(packed.data(), rows.floats.data(), count * 4);
      memset(packed.data() + count * 4, 0, store.bytes - count * 4);
    } else {
      packPanel(store.format, source.k, count, panelSource(store, rows), packed.data());
    }
    return sink.write(store.offset + panel * store.panelBytes(), {packed.data(), store.panelBytes()});
  }

  static PanelSource panelSource(const Store &store, const WeightRows &rows) {
    int64_t k = store.source->k;
    if (!store.format.isInteger())
      return {.rows = rows.floats.data(), .rowStride = k * (store.format.kind == WeightKind::F32 ? 4 : 2)};
    const wq::RowBlock &codes = rows.codes;
    return {.codes = codes.codes.data(),
            .codeStride = k,
            .scales = codes.scales.data(),
            .scaleStride = codes.scaleStride(),
            .offsets = codes.offsets.data(),
            .offsetStride = codes.offsetStride()};
  }

  /// Keeps the failure of the first panel in order, and lets the others stop.
  void fail(int64_t job, const std::string &name, llvm::Error error) {
    std::lock_guard lock(mutex);
    next = panels;
    std::string message = name + ": " + llvm::toString(std::move(error));
    if (failedJob >= 0 && failedJob < job) return;
    llvm::consumeError(std::move(failure));
    failedJob = job;
    failure = llvm::createStringError(message);
  }

  void report(uint64_t bytes) {
    if (!options.progress) return;
    std::lock_guard lock(mutex);
    done += bytes;
    options.progress(done, total);
  }

  std::vector<Store> stores;
  const WeightFiles &files;
  WeightSink &sink;
  const WeightProgramOptions &options;
  std::vector<int64_t> firstPanel; // of each store
  int64_t panels = 0;
  std::atomic<int64_t> next = 0;
  std::vector<std::atomic<int64_t>> panelsLeft; // of each store
  std::mutex mutex;
  uint64_t done = 0, total = 0;
  int64_t failedJob = -1;
  llvm::Error failure = llvm::Error::success();
};

} // namespace

llvm::Error runWeightProgram(mlir::ModuleOp module, llvm::ArrayRef<std::string> paths, WeightSink &sink,
                             const WeightProgramOptions &options) {
  auto files = WeightFiles::map(paths);
  if (!files) return files.takeError();
  auto stores = makeStores(module, files->files());
  if (!stores) return stores.takeError();
  if (llvm::Error error = Runner(std::move(*stores), *files, sink, options).run()) return error;
  return sink.finish();
}

} // namespace llmc
