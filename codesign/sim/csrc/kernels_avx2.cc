// Kernels for AVX2: products of int16 pairs (vpmaddwd), six rows by sixteen output channels.
#include "kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>

#include <cstring>

#include "alu_nest.h"
#include "gemm_block.h"

namespace codesign {
namespace {

struct Vector {
  using Reg = __m256i;
  static constexpr int kLanes = 8, kRows = 6, kWidth = 2, kMinimumSums = 1;
  static constexpr bool kHasAlu = true;
  static CODESIGN_INLINE Reg all(int32_t value) { return _mm256_set1_epi32(value); }
  static CODESIGN_INLINE Reg min(Reg a, Reg b) { return _mm256_min_epi32(a, b); }
  static CODESIGN_INLINE Reg max(Reg a, Reg b) { return _mm256_max_epi32(a, b); }
  static CODESIGN_INLINE Reg mul(Reg a, Reg b) { return _mm256_mullo_epi32(a, b); }
  // Counts beyond 31 shift everything out: to the sign, or to 0.
  static CODESIGN_INLINE Reg shift(Reg a, Reg b) {
    const Reg right = _mm256_srav_epi32(a, b), left = _mm256_sllv_epi32(a, _mm256_sub_epi32(zero(), b));
    return _mm256_blendv_epi8(right, left, _mm256_srai_epi32(b, 31));
  }
  static CODESIGN_INLINE Reg zero() { return _mm256_setzero_si256(); }
  static CODESIGN_INLINE Reg load(const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static CODESIGN_INLINE void store(int32_t* to, Reg value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  static CODESIGN_INLINE void store_out(int8_t* to, Reg value) {
    const __m256i low_bytes = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                               -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1,
                                               -1, -1, -1, -1);
    const __m256i picked = _mm256_shuffle_epi8(value, low_bytes);
    const __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(picked),
                                            _mm256_extracti128_si256(picked, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), both);
  }
  static CODESIGN_INLINE Reg pair(const int16_t* from) {
    int32_t both;
    std::memcpy(&both, from, sizeof both);
    return _mm256_set1_epi32(both);
  }
  static CODESIGN_INLINE Reg weights(const int16_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static CODESIGN_INLINE Reg add(Reg a, Reg b) { return _mm256_add_epi32(a, b); }
  static CODESIGN_INLINE Reg dot(Reg sum, Reg a, Reg b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  }
};

void gemm(const Operands& g, const GemmBlock& block, const Offsets& base) {
  const int64_t channel = all_columns<Vector>(g, block, base, 0);
  all_columns<ScalarVector>(g, block, base, channel);
}

// Ten independent chains, which is more than latency times throughput.
int64_t peak(int64_t rounds) {
  __m256i sums[10];
  CODESIGN_UNROLL
  for (int k = 0; k < 10; ++k) sums[k] = _mm256_set1_epi32(k + 1);
  const __m256i weights = _mm256_set1_epi16(3);
  for (int64_t r = 0; r < rounds; ++r) {
    CODESIGN_UNROLL
    for (int k = 0; k < 10; ++k) {
      sums[k] = _mm256_add_epi32(sums[k], _mm256_madd_epi16(sums[k], weights));
    }
  }
  CODESIGN_UNROLL
  for (int k = 1; k < 10; ++k) sums[0] = _mm256_add_epi32(sums[0], sums[k]);
  __asm__ volatile("" : : "x"(sums[0]));  // the result is used
  return rounds * 10 * 16;
}

}  // namespace

const KernelTable* avx2_kernels() {
  static const KernelTable table = {"avx2", gemm, alu_nest<Vector>, peak};
  return &table;
}

}  // namespace codesign

#else

namespace codesign {

const KernelTable* avx2_kernels() { return nullptr; }

}  // namespace codesign

#endif
