// The ALU's loop nest over a vector type; each instruction set includes it once.
#ifndef CODESIGN_SIM_ALU_NEST_H_
#define CODESIGN_SIM_ALU_NEST_H_

#include "gemm_block.h"
#include "kernels.h"
#include "micro_op.h"

namespace codesign {
namespace {

// As AluOp of isa.h.
enum Operation : int32_t { kOpMin, kOpMax, kOpAdd, kOpShr, kOpMul };

// VTA_SPEC.md 6.5, made total: right beyond 31 fills with the sign, left beyond 31 gives 0.
inline __attribute__((always_inline)) int32_t shift(int32_t a, int32_t b) {
  const int32_t right = a >> ((b > 31 ? 31 : b) & 31);
  const auto left = static_cast<int32_t>(static_cast<uint32_t>(a) << (-b & 31));
  return b >= 0 ? right : b < -31 ? 0 : left;
}

template <int kOp>
inline __attribute__((always_inline)) int32_t apply(int32_t a, int32_t b) {
  switch (kOp) {
    case kOpMin: return a < b ? a : b;
    case kOpMax: return a > b ? a : b;
    case kOpAdd: return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
    case kOpShr: return shift(a, b);
    default: return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
  }
}

// Whole vectors of one element; returns the first lane that is left.
template <class V, int kOp, bool kImm>
CODESIGN_INLINE int64_t alu_vectors(int64_t lanes, int32_t* acc, const int32_t* other, int32_t imm,
                                    int8_t* out) {
  int64_t k = 0;
  for (; k + V::kLanes <= lanes; k += V::kLanes) {
    const auto a = V::load(acc + k), b = kImm ? V::all(imm) : V::load(other + k);
    const auto value = kOp == kOpMin   ? V::min(a, b)
                       : kOp == kOpMax ? V::max(a, b)
                       : kOp == kOpAdd ? V::add(a, b)
                       : kOp == kOpShr ? V::shift(a, b)
                                       : V::mul(a, b);
    V::store(acc + k, value);
    V::store_out(out + k, value);
  }
  return k;
}

// Elements in order, so that later micro-ops see earlier ones; the lanes of one are independent.
template <class V, int kOp, bool kImm, int kLanes>
void alu_lanes(const AluNest& g) {
  const int64_t lanes = kLanes ? kLanes : g.lanes;
  for (int64_t o = 0; o < g.iter_out; ++o) {
    for (int64_t i = 0; i < g.iter_in; ++i) {
      const int64_t dst = o * g.dst_out + i * g.dst_in, src = o * g.src_out + i * g.src_in;
      for (int64_t u = 0; u < g.count; ++u) {
        int32_t* acc = g.acc + (dst + g.uops[u].dst) * lanes;
        const int32_t* other = g.acc + (src + g.uops[u].src) * lanes;
        int8_t* out = g.out + (dst + g.uops[u].dst) * lanes;
        int64_t k = 0;
        if constexpr (V::kHasAlu) k = alu_vectors<V, kOp, kImm>(lanes, acc, other, g.imm, out);
        for (; k < lanes; ++k) {
          acc[k] = apply<kOp>(acc[k], kImm ? g.imm : other[k]);
          out[k] = static_cast<int8_t>(acc[k]);
        }
      }
    }
  }
}

template <class V, int kOp>
void alu_operation(const AluNest& g) {
  if (g.lanes == 16) {
    return g.use_imm ? alu_lanes<V, kOp, true, 16>(g) : alu_lanes<V, kOp, false, 16>(g);
  }
  g.use_imm ? alu_lanes<V, kOp, true, 0>(g) : alu_lanes<V, kOp, false, 0>(g);
}

template <class V>
void alu_nest(const AluNest& g) {
  switch (g.operation) {
    case kOpMin: return alu_operation<V, kOpMin>(g);
    case kOpMax: return alu_operation<V, kOpMax>(g);
    case kOpAdd: return alu_operation<V, kOpAdd>(g);
    case kOpShr: return alu_operation<V, kOpShr>(g);
    default: return alu_operation<V, kOpMul>(g);
  }
}

}  // namespace
}  // namespace codesign

#endif  // CODESIGN_SIM_ALU_NEST_H_
