// One emission function per kind of unit: appends its steps to a stream.
#ifndef CODESIGN_KERNELS_EMIT_H_
#define CODESIGN_KERNELS_EMIT_H_

#include "constants.h"
#include "stream.h"
#include "workload.h"

namespace codesign::units {

// All throw Infeasible; they return where the unit's constants lie.
Constants emit(Stream& stream, const Conv& workload, const Schedule& schedule,
               const Requant& numbers);
Constants emit(Stream& stream, const Pool& workload, const Schedule& schedule,
               const Requant& numbers);
Constants emit(Stream& stream, const Elementwise& workload, const Schedule& schedule,
               const Requant& numbers);
Constants emit(Stream& stream, const Gather& workload, const Schedule& schedule,
               const Requant& numbers);

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_EMIT_H_
