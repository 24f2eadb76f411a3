// Where the pointers of a call go in the argument structure of its family.
#pragma once
#include "dialects/kernel/Kernel.h"

namespace llmc {

/// Offset of a role's pointer; -1 for a role that the family has not. A matmul's "plan" is a field of llmc_experts.
int64_t fieldOf(kernel::Family family, llvm::StringRef role);

/// The result's field; -1 where the result is an input written in place.
int64_t resultField(kernel::Family family);

} // namespace llmc
