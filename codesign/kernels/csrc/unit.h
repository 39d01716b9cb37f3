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
  std::vector<MicroOp> uops;
  Schedule schedule;  // without `split` where its micro-ops did not fit
};

// Throws Infeasible.
Unit emit_unit(const Config& config, const Workload& workload, const Schedule& schedule,
               const Requant& numbers, const Placement* placement = nullptr);

// Cycles and counters of the unit alone, its buffers one after the other from the first page on.
// Throws Infeasible, also where the machine refuses the stream.
RunResult measure(const Config& config, const Workload& workload, const Schedule& schedule,
                  const Requant& numbers);

// `buffers`: byte address in DRAM of each `Buffer`, that of the constants 0.
struct RegionUnit {
  Workload workload;
  Schedule schedule;
  Requant numbers;
  std::vector<int64_t> buffers;
};

struct Region {
  struct Part {
    Constants constants;
    std::vector<MicroOp> uops;
    int32_t first;  // the unit's first instruction
  };
  Stream stream;
  std::vector<Part> parts;
};

// One program for all units: no drain between them; a unit waits only for what it reads. Throws
// Infeasible.
Region emit_region(const Config& config, const std::vector<RegionUnit>& units);

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_UNIT_H_
