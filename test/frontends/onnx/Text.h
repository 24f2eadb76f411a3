// Models in ONNX's text form, for tests.
#pragma once
#include "frontends/onnx/Proto.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace llmc::test {

using Edit = llvm::function_ref<void(::onnx::ModelProto &)>;

/// `text` (graph and functions; opset_import of `opset` and com.microsoft 1 is put before it) as a ModelProto.
::onnx::ModelProto parseModel(llvm::StringRef text, int opset = 18);
/// The imported module as text, without locations, or `error: ` and the message. `path`: where the model stands to be.
std::string importModel(const ::onnx::ModelProto &model, llvm::StringRef path = "model.onnx");
/// Both, with a change between.
std::string importText(llvm::StringRef text, int opset = 18, Edit edit = [](::onnx::ModelProto &) {});
/// The module is valid and is the same when it is printed, parsed and printed again.
bool roundTrips(const std::string &module);

} // namespace llmc::test

/// `text` has `part`; shows both if not.
#define EXPECT_HAS(text, part)                                                                                         \
  EXPECT_NE((text).find(part), std::string::npos) << "no '" << (part) << "' in:\n" << (text)
