#include "kernels.h"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CODESIGN_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CODESIGN_CLONES
#endif
#define CODESIGN_INLINE inline __attribute__((always_inline))

namespace codesign {
namespace {

// A block size known at compile time lets the dot product become straight vector code.
template <int kBlockIn>
CODESIGN_INLINE int32_t dot(const int16_t* a, const int16_t* b, int64_t block_in) {
  const int64_t n = kBlockIn ? kBlockIn : block_in;
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += int32_t{a[i]} * b[i];
  return sum;
}

CODESIGN_INLINE int32_t wrap_add(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

template <int kBlockIn>
CODESIGN_INLINE void gemm_nest(const Instruction& in, const GemmArgs& g) {
  const int64_t block_in = kBlockIn ? kBlockIn : g.block_in;
  const int64_t inp_lanes = g.batch * block_in, acc_lanes = g.batch * g.block_out;
  const int64_t wgt_lanes = block_in * g.block_out;
  for (int64_t o = 0; o < in.iter_out; ++o) {
    for (int64_t i = 0; i < in.iter_in; ++i) {
      const int64_t dst = o * in.dst_factor_out + i * in.dst_factor_in;
      const int64_t src = o * in.src_factor_out + i * in.src_factor_in;
      const int64_t wgt = o * in.wgt_factor_out + i * in.wgt_factor_in;
      for (int64_t u = 0; u < g.count; ++u) {
        const int16_t* a = g.inp + (src + g.uops[u].src) * inp_lanes;
        const int16_t* w = g.wgt + (wgt + g.uops[u].wgt) * wgt_lanes;
        int32_t* acc = g.acc + (dst + g.uops[u].dst) * acc_lanes;
        int8_t* out = g.out + (dst + g.uops[u].dst) * acc_lanes;
        for (int64_t b = 0; b < g.batch; ++b) {
          for (int64_t c = 0; c < g.block_out; ++c) {
            const int64_t lane = b * g.block_out + c;
            const int32_t value =
                wrap_add(acc[lane], dot<kBlockIn>(a + b * block_in, w + c * block_in, block_in));
            acc[lane] = value;
            out[lane] = static_cast<int8_t>(value);
          }
        }
      }
    }
  }
}

// VTA_SPEC.md 6.5, made total: right beyond 31 fills with the sign, left beyond 31 gives 0.
CODESIGN_INLINE int32_t shift(int32_t a, int32_t b) {
  if (b >= 0) return a >> std::min(b, 31);
  return b < -31 ? 0 : static_cast<int32_t>(static_cast<uint32_t>(a) << -b);
}

template <int kOp>
CODESIGN_INLINE int32_t apply(int32_t a, int32_t b) {
  switch (kOp) {
    case kMin: return std::min(a, b);
    case kMax: return std::max(a, b);
    case kAdd: return wrap_add(a, b);
    case kShr: return shift(a, b);
    default: return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
  }
}

template <int kOp>
CODESIGN_INLINE void alu_nest(const Instruction& in, const AluArgs& g) {
  for (int64_t o = 0; o < in.iter_out; ++o) {
    for (int64_t i = 0; i < in.iter_in; ++i) {
      const int64_t dst = o * in.dst_factor_out + i * in.dst_factor_in;
      const int64_t src = o * in.src_factor_out + i * in.src_factor_in;
      for (int64_t u = 0; u < g.count; ++u) {
        int32_t* acc = g.acc + (dst + g.uops[u].dst) * g.lanes;
        const int32_t* other = g.acc + (src + g.uops[u].src) * g.lanes;
        int8_t* out = g.out + (dst + g.uops[u].dst) * g.lanes;
        for (int64_t k = 0; k < g.lanes; ++k) {
          acc[k] = apply<kOp>(acc[k], in.use_imm ? in.imm : other[k]);
          out[k] = static_cast<int8_t>(acc[k]);
        }
      }
    }
  }
}

}  // namespace

CODESIGN_CLONES void gemm_kernel(const Instruction& in, const GemmArgs& args) {
  switch (args.block_in) {
    case 4: return gemm_nest<4>(in, args);
    case 8: return gemm_nest<8>(in, args);
    case 16: return gemm_nest<16>(in, args);
    case 32: return gemm_nest<32>(in, args);
    case 64: return gemm_nest<64>(in, args);
    default: return gemm_nest<0>(in, args);
  }
}

CODESIGN_CLONES void alu_kernel(const Instruction& in, const AluArgs& args) {
  switch (in.alu_opcode) {
    case kMin: return alu_nest<kMin>(in, args);
    case kMax: return alu_nest<kMax>(in, args);
    case kAdd: return alu_nest<kAdd>(in, args);
    case kShr: return alu_nest<kShr>(in, args);
    default: return alu_nest<kMul>(in, args);
  }
}

}  // namespace codesign
