// Loop nests: which two loops become an instruction's iterations, the rest its micro-ops.
//
// A GEMM or ALU instruction runs iter_out x iter_in times over a list of micro-ops with affine
// indices (VTA_SPEC.md 6.3). `plan` takes the loops of a tile and picks the pair that leaves the
// fewest micro-ops while no accumulator index repeats within two preceding micro-ops (spec 7.3).
#ifndef CODESIGN_KERNELS_NEST_H_
#define CODESIGN_KERNELS_NEST_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "micro_op.h"

namespace codesign::units {

// One loop: extent and index steps in elements; dst == 0 is a reduction.
struct Dim {
  int64_t extent, dst, src = 0, wgt = 0;
};
using Dims = std::vector<Dim>;

// Equal lists of one thread share one object, so that a list's address identifies its contents.
using MicroOps = std::shared_ptr<const std::vector<MicroOp>>;

// Iterations of one instruction and its relative micro-ops.
struct Nest {
  Dim outer, inner;
  MicroOps uops;
};
using NestPtr = std::shared_ptr<const Nest>;

// The legal nest with the fewest micro-ops, or null if none has at most `max_uops`.
NestPtr plan(const Dims& dims, int64_t max_uops);

// The micro-ops of some loops, reductions outermost.
MicroOps unrolled(const Dims& dims);

// Partial accumulators per output that a reduction over `outputs` elements needs.
int64_t partial_sums(int64_t outputs);

// A nest over fewer than three outputs: reductions take turns on partial accumulators. Partial sum
// p > 0 of the j-th output is accumulator scratch + (p - 1) * outputs + j.
NestPtr plan_partial(const Dims& dims, int64_t outputs, int64_t scratch, int64_t max_uops);

// GEMMs over fewer than three outputs and a long reduction, as `plan_partial` but in few micro-ops:
// most of the longest reduction takes turns on the partial accumulators, iterations run over the
// rest. Empty where none has at most `max_uops`.
struct Turn {
  NestPtr nest;
  int64_t src, wgt;  // added to the bases
};
std::vector<Turn> plan_turns(const Dims& dims, int64_t outputs, int64_t scratch, int64_t max_uops);

// Register-ADD nests that add each partial sum of `plan_partial` to its output.
std::vector<Nest> partial_sum_nests(const Dims& dims, int64_t outputs, int64_t scratch);

// A nest over `count` equally spaced elements.
NestPtr linear(int64_t count, int64_t dst = 1, int64_t src = 1);

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_NEST_H_
