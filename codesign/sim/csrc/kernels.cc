#include "kernels.h"

#include <algorithm>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CODESIGN_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CODESIGN_CLONES
#endif
#define CODESIGN_INLINE inline __attribute__((always_inline))

namespace codesign {
namespace {

CODESIGN_INLINE int32_t wrap_add(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

#if defined(__SSE2__)
// `kGroups` x 4 output channels at once; the accumulators stay in registers over the dot product.
template <int kGroups>
CODESIGN_INLINE void dots(const int16_t* inp, const int16_t* wgt, int64_t pairs, int64_t stride,
                          int32_t* acc) {
  __m128i sums[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    sums[g] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(acc + 4 * g));
  }
  for (int64_t p = 0; p < pairs; ++p) {
    int32_t pair;
    std::memcpy(&pair, inp + 2 * p, sizeof pair);
    const __m128i both = _mm_set1_epi32(pair);
    for (int g = 0; g < kGroups; ++g) {
      const auto* at = reinterpret_cast<const __m128i*>(wgt + p * stride + 8 * g);
      sums[g] = _mm_add_epi32(sums[g], _mm_madd_epi16(both, _mm_loadu_si128(at)));
    }
  }
  for (int g = 0; g < kGroups; ++g) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(acc + 4 * g), sums[g]);
  }
}
#endif

// One row of one micro-op: acc[c] += dot(inp, weights of output channel c).
CODESIGN_INLINE void gemm_row(const int16_t* inp, const int16_t* wgt, int64_t pairs,
                              int64_t block_out, int32_t* acc) {
  const int64_t stride = 2 * block_out;
  int64_t c = 0;
#if defined(__SSE2__)
  for (; c + 16 <= block_out; c += 16) dots<4>(inp, wgt + 2 * c, pairs, stride, acc + c);
  for (; c + 4 <= block_out; c += 4) dots<1>(inp, wgt + 2 * c, pairs, stride, acc + c);
#endif
  for (; c < block_out; ++c) {
    int32_t sum = 0;
    for (int64_t p = 0; p < pairs; ++p) {
      const int16_t* w = wgt + p * stride + 2 * c;
      sum += inp[2 * p] * w[0] + inp[2 * p + 1] * w[1];
    }
    acc[c] = wrap_add(acc[c], sum);
  }
}

template <int kPairs>
CODESIGN_INLINE void gemm_nest(const Instruction& in, const GemmArgs& g) {
  const int64_t pairs = kPairs ? kPairs : g.pairs;
  const int64_t inp_lanes = 2 * g.batch * pairs, acc_lanes = g.batch * g.block_out;
  const int64_t wgt_lanes = 2 * pairs * g.block_out;
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
          gemm_row(a + 2 * b * pairs, w, pairs, g.block_out, acc + b * g.block_out);
        }
        for (int64_t k = 0; k < acc_lanes; ++k) out[k] = static_cast<int8_t>(acc[k]);
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
  // A size known at compile time lets the dot product be unrolled.
  switch (args.pairs) {
    case 4: return gemm_nest<4>(in, args);
    case 8: return gemm_nest<8>(in, args);
    case 16: return gemm_nest<16>(in, args);
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
