// The checker's fast path: whether a stream keeps every rule of codesign/isa/check.py.
#ifndef CODESIGN_SIM_CHECKER_H_
#define CODESIGN_SIM_CHECKER_H_

#include "simulator.h"

namespace codesign {

// True only where the checker (not `portable`) would find nothing. It may be false for a legal
// stream whose loads and unordered stores share an OUT element's worth of DRAM without touching.
// memory may be null (memory_bytes 0): then the rules that need micro-ops are left out.
bool is_clean(const Config& config, const uint8_t* instructions, size_t count,
              const uint8_t* memory, size_t memory_bytes, uint64_t base_address);

}  // namespace codesign

#endif  // CODESIGN_SIM_CHECKER_H_
