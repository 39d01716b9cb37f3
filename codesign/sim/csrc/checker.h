// The checker: every rule of VTA_SPEC.md that a stream breaks; the twin of
// codesign/isa/specification.py.
#ifndef CODESIGN_SIM_CHECKER_H_
#define CODESIGN_SIM_CHECKER_H_

#include <vector>

#include "finding.h"
#include "simulator.h"

namespace codesign {

// Findings by instruction, then rule. `memory` may be null: the rules that need DRAM's extent and
// micro-ops are then left out. `portable` adds what upstream's implementations lack. `count` > 0.
std::vector<Finding> check(const Config& config, const uint8_t* instructions, size_t count,
                           const uint8_t* memory, size_t memory_bytes, uint64_t base_address,
                           bool portable);

}  // namespace codesign

#endif  // CODESIGN_SIM_CHECKER_H_
