// A row of the catalogue against its reference, over a few shapes.
#pragma once
#include "tools/llmc-kernel/Catalogue.h"

namespace llmc::tool {

/// Prints a line `NAME OK|FAIL|SKIP ...`. False if a shape is further off than allowed, or none is taken. What `host`
/// does not have is said, and passes.
llvm::Expected<bool> checkRow(const Row &row, const Target &host);

} // namespace llmc::tool
