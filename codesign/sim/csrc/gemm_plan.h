// Turns the loop nest of a GEMM instruction into blocked products.
#ifndef CODESIGN_SIM_GEMM_PLAN_H_
#define CODESIGN_SIM_GEMM_PLAN_H_

#include <vector>

#include "isa.h"
#include "kernels.h"

namespace codesign {

// Lanes between elements (and batch rows) of the arrays in Operands.
struct GemmStrides {
  int64_t batch, inp_row, inp, wgt, acc_row, acc;
};

// Accumulation wraps, so it may be done in any order: loop axes that keep dst are reductions
// (steps), axes that keep wgt and surely never repeat a dst are rows, all others are looped over.
class GemmPlan {
 public:
  void run(const Instruction& in, const MicroOp* uops, int64_t count, const GemmStrides& strides,
           const Operands& operands);

 private:
  struct Axis {
    int64_t count;
    Offsets step;
  };

  // One run of micro-ops with the same dst (`reduction`) or with the same wgt and rising dst.
  void segment(const Axis (&axes)[2], const MicroOp* uops, int64_t count, bool reduction,
               const Operands& operands);
  void repeat(std::vector<Offsets>& list, const Axis& axis);

  GemmStrides strides_{};
  std::vector<Offsets> rows_, steps_;
};

}  // namespace codesign

#endif  // CODESIGN_SIM_GEMM_PLAN_H_
