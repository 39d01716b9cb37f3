// One unit on its own: emission, placement in DRAM, and its cycles.
#ifndef CODESIGN_KERNELS_UNIT_H_
#define CODESIGN_KERNELS_UNIT_H_

#include <vector>

#include "constants.h"
#include "simulator.h"
#include "stream.h"
#include "workload.h"

namespace codesign::units {

struct Unit {
  Stream stream;
  Constants constants;
};

// Throws Infeasible.
Unit emit_unit(const Config& config, const Workload& workload, const Schedule& schedule,
               const Requant& numbers);

// Cycles and counters of the unit alone, its buffers one after the other from the first page on.
// Throws Infeasible, also where the machine refuses the stream.
RunResult measure(const Config& config, const Workload& workload, const Schedule& schedule,
                  const Requant& numbers);

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_UNIT_H_
