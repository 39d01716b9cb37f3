// Which instruction set the kernels use.
#ifndef CODESIGN_SIM_DISPATCH_H_
#define CODESIGN_SIM_DISPATCH_H_

#include <string>
#include <vector>

#include "kernels.h"

namespace codesign {

// Tables that this processor can run, best first.
const std::vector<const KernelTable*>& usable_kernels();
// The table in use: the best one, unless another was selected.
const KernelTable& kernels();
// For tests and benchmarks; false where the processor lacks it.
bool select_kernels(const std::string& name);

}  // namespace codesign

#endif  // CODESIGN_SIM_DISPATCH_H_
