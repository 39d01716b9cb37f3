// The blocked product of kernels.h over a vector type; each instruction set includes it once.
#ifndef CODESIGN_SIM_GEMM_BLOCK_H_
#define CODESIGN_SIM_GEMM_BLOCK_H_

#include "kernels.h"

#define CODESIGN_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define CODESIGN_UNROLL _Pragma("unroll")
#else
#define CODESIGN_UNROLL _Pragma("GCC unroll 16")
#endif

namespace codesign {
namespace {

// One lane, for blocks narrower than any vector.
struct ScalarVector {
  using Reg = int32_t;
  static constexpr int kLanes = 1, kRows = 4, kWidth = 1, kMinimumSums = 1;
  static constexpr bool kHasAlu = false;
  static CODESIGN_INLINE Reg zero() { return 0; }
  static CODESIGN_INLINE Reg load(const int32_t* from) { return *from; }
  static CODESIGN_INLINE void store(int32_t* to, Reg value) { *to = value; }
  static CODESIGN_INLINE void store_out(int8_t* to, Reg value) { *to = static_cast<int8_t>(value); }
  static CODESIGN_INLINE Reg pair(const int16_t* from) {
    return static_cast<int32_t>(static_cast<uint16_t>(from[0]) |
                                static_cast<uint32_t>(static_cast<uint16_t>(from[1])) << 16);
  }
  static CODESIGN_INLINE Reg weights(const int16_t* from) { return pair(from); }
  static CODESIGN_INLINE Reg add(Reg a, Reg b) {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  }
  static CODESIGN_INLINE Reg dot(Reg sum, Reg a, Reg b) {
    const int32_t low = static_cast<int16_t>(a) * static_cast<int16_t>(b);
    const int32_t high = (a >> 16) * (b >> 16);
    return add(sum, low + high);
  }
};

// `kRows` rows by `kWidth` vectors of output channels. The sums stay in registers over all steps;
// where they are few, several chains hide the latency of the multiply-accumulate.
template <class V, int kRows, int kWidth>
void tile(const Operands& g, const GemmBlock& block, const Offsets& base, const Offsets* rows,
          int64_t channel) {
  using Reg = typename V::Reg;
  constexpr int kSums = kRows * kWidth;
  constexpr int kChains = kSums >= V::kMinimumSums ? 1 : V::kMinimumSums / kSums >= 4 ? 4 : 2;
  const int16_t* src[kRows];
  int32_t* acc[kRows];
  int8_t* out[kRows];
  Reg sums[kChains][kRows][kWidth];
  for (int r = 0; r < kRows; ++r) {
    src[r] = g.inp + base.src + rows[r].src;
    acc[r] = g.acc + base.dst + rows[r].dst + channel;
    out[r] = g.out + base.dst + rows[r].dst + channel;
    for (int v = 0; v < kWidth; ++v) {
      sums[0][r][v] = V::load(acc[r] + v * V::kLanes);
      for (int c = 1; c < kChains; ++c) sums[c][r][v] = V::zero();
    }
  }
  const int64_t stride = 2 * g.block_out;
  const int16_t* weights = g.wgt + base.wgt + 2 * channel;
  const auto multiply = [&](int chain, const int16_t* at, int64_t shift) __attribute__((always_inline)) {
    Reg w[kWidth];
    for (int v = 0; v < kWidth; ++v) w[v] = V::weights(at + 2 * v * V::kLanes);
    for (int r = 0; r < kRows; ++r) {
      const Reg both = V::pair(src[r] + shift);
      for (int v = 0; v < kWidth; ++v) sums[chain][r][v] = V::dot(sums[chain][r][v], both, w[v]);
    }
  };
  for (int64_t s = 0; s < block.step_count; ++s) {
    const int16_t* at = weights + block.steps[s].wgt;
    int64_t shift = block.steps[s].src;
    int64_t p = 0;
    for (; p + kChains <= g.pairs; p += kChains) {
      for (int c = 0; c < kChains; ++c, at += stride, shift += 2) multiply(c, at, shift);
    }
    for (; p < g.pairs; ++p, at += stride, shift += 2) multiply(0, at, shift);
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kWidth; ++v) {
      Reg sum = sums[0][r][v];
      for (int c = 1; c < kChains; ++c) sum = V::add(sum, sums[c][r][v]);
      V::store(acc[r] + v * V::kLanes, sum);
      V::store_out(out[r] + v * V::kLanes, sum);
    }
  }
}

template <class V, int kRows, int kWidth>
struct Tiles {
  static void run(int64_t rows, const Operands& g, const GemmBlock& block, const Offsets& base,
                  const Offsets* first, int64_t channel) {
    if (rows == kRows) return tile<V, kRows, kWidth>(g, block, base, first, channel);
    Tiles<V, kRows - 1, kWidth>::run(rows, g, block, base, first, channel);
  }
};
template <class V, int kWidth>
struct Tiles<V, 0, kWidth> {
  static void run(int64_t, const Operands&, const GemmBlock&, const Offsets&, const Offsets*,
                  int64_t) {}
};

// All rows of one base for kWidth vectors of channels, in tiles of nearly equal height.
template <class V, int kWidth>
void columns(const Operands& g, const GemmBlock& block, const Offsets& base, int64_t channel) {
  int64_t tiles = (block.row_count + V::kRows - 1) / V::kRows;
  for (int64_t row = 0; row < block.row_count; --tiles) {
    const int64_t rows = (block.row_count - row + tiles - 1) / tiles;
    Tiles<V, V::kRows, kWidth>::run(rows, g, block, base, block.rows + row, channel);
    row += rows;
  }
}

template <class V>
int64_t all_columns(const Operands& g, const GemmBlock& block, const Offsets& base, int64_t from) {
  constexpr int64_t kWide = int64_t{V::kWidth} * V::kLanes;
  for (; from + kWide <= g.block_out; from += kWide) columns<V, V::kWidth>(g, block, base, from);
  for (; from + V::kLanes <= g.block_out; from += V::kLanes) columns<V, 1>(g, block, base, from);
  return from;
}

}  // namespace
}  // namespace codesign

#endif  // CODESIGN_SIM_GEMM_BLOCK_H_
