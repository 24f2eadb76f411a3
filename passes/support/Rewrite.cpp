#include "passes/support/Rewrite.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include <set>

using namespace mlir;

namespace llmc {

void reportRefusal(Location loc, StringRef pass, const Twine &reason) {
  remark::missed(loc, remark::RemarkOpts::name(pass).category("refusal")) << reason.str();
}

namespace {
struct ReasonListener : RewriterBase::Listener {
  explicit ReasonListener(StringRef pass) : pass(pass) {}
  void notifyMatchFailure(Location loc, function_ref<void(Diagnostic &)> callback) override {
    Diagnostic diagnostic(loc, DiagnosticSeverity::Remark);
    callback(diagnostic);
    std::string reason = diagnostic.str();
    if (seen.insert({loc.getAsOpaquePointer(), reason}).second) reportRefusal(loc, pass, reason);
  }
  StringRef pass;
  std::set<std::pair<const void *, std::string>> seen; // lookup only: the order of reports is the driver's
};
} // namespace

LogicalResult applyPatternsWithReasons(Operation *root, StringRef pass, RewritePatternSet &&patterns) {
  ReasonListener listener(pass);
  GreedyRewriteConfig config;
  config.setListener(&listener);
  return applyPatternsGreedily(root, std::move(patterns), config);
}

} // namespace llmc
