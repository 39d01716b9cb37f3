// Inner loops of GEMM and ALU, compiled for several instruction sets and chosen at load time.
#ifndef CODESIGN_SIM_KERNELS_H_
#define CODESIGN_SIM_KERNELS_H_

#include <cstdint>

#include "isa.h"

namespace codesign {

struct GemmArgs {
  const MicroOp* uops;  // `count` of them
  int64_t count;
  int64_t batch, block_out;
  int64_t pairs;       // of input channels; an odd last one is paired with zeros
  const int16_t* inp;  // [element][batch][pairs][2]
  const int16_t* wgt;  // [element][pairs][block_out][2]
  int32_t* acc;
  int8_t* out;
};

// The whole loop nest of a GEMM without reset; every index must be in range.
void gemm_kernel(const Instruction& in, const GemmArgs& args);

struct AluArgs {
  const MicroOp* uops;
  int64_t count, lanes;
  int32_t* acc;
  int8_t* out;
};

// The whole loop nest of an ALU instruction; every index must be in range.
void alu_kernel(const Instruction& in, const AluArgs& args);

}  // namespace codesign

#endif  // CODESIGN_SIM_KERNELS_H_
