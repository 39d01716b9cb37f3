// The ALU's loop nest, vectorised by the compiler; each instruction set includes it once.
#ifndef CODESIGN_SIM_ALU_NEST_H_
#define CODESIGN_SIM_ALU_NEST_H_

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

// Elements in order, so that later micro-ops see earlier ones; the lanes of one are independent.
template <int kOp, bool kImm, int kLanes>
void alu_lanes(const AluNest& g) {
  const int64_t lanes = kLanes ? kLanes : g.lanes;
  const int32_t imm = g.imm;
  for (int64_t o = 0; o < g.iter_out; ++o) {
    for (int64_t i = 0; i < g.iter_in; ++i) {
      const int64_t dst = o * g.dst_out + i * g.dst_in, src = o * g.src_out + i * g.src_in;
      for (int64_t u = 0; u < g.count; ++u) {
        int32_t* acc = g.acc + (dst + g.uops[u].dst) * lanes;
        const int32_t* other = g.acc + (src + g.uops[u].src) * lanes;
        int8_t* __restrict out = g.out + (dst + g.uops[u].dst) * lanes;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC ivdep
#endif
        for (int64_t k = 0; k < lanes; ++k) {
          const int32_t value = apply<kOp>(acc[k], kImm ? imm : other[k]);
          acc[k] = value;
          out[k] = static_cast<int8_t>(value);
        }
      }
    }
  }
}

template <int kOp, bool kImm>
void alu_form(const AluNest& g) {
  if (g.lanes == 16) return alu_lanes<kOp, kImm, 16>(g);
  alu_lanes<kOp, kImm, 0>(g);
}

template <int kOp>
void alu_operation(const AluNest& g) {
  g.use_imm ? alu_form<kOp, true>(g) : alu_form<kOp, false>(g);
}

void alu_nest(const AluNest& g) {
  switch (g.operation) {
    case kOpMin: return alu_operation<kOpMin>(g);
    case kOpMax: return alu_operation<kOpMax>(g);
    case kOpAdd: return alu_operation<kOpAdd>(g);
    case kOpShr: return alu_operation<kOpShr>(g);
    default: return alu_operation<kOpMul>(g);
  }
}

}  // namespace
}  // namespace codesign

#endif  // CODESIGN_SIM_ALU_NEST_H_
