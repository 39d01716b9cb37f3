// A decoded micro-op (VTA_SPEC.md section 4): element indices.
#ifndef CODESIGN_SIM_MICRO_OP_H_
#define CODESIGN_SIM_MICRO_OP_H_

#include <cstdint>

namespace codesign {

struct MicroOp {
  int32_t dst, src, wgt;
};

}  // namespace codesign

#endif  // CODESIGN_SIM_MICRO_OP_H_
