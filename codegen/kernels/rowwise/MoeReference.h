// The scalar meaning of the rowwise ops of a mixture of experts: one unit each.
#pragma once
#include "codegen/Descriptor.h"
#include "llmc_kernel.h"

namespace llmc {

void referenceMoeChoose(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t row);
void referenceMoeSort(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t step);
void referenceMoeGather(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t place);
void referenceMoeScatter(const RowwiseDesc &d, const llmc_rowwise_args &args, int64_t unit);

} // namespace llmc
