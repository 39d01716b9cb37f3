// Kernels for AVX-512 VNNI: fused products of int16 pairs (vpdpwssd, which wraps), twelve rows.
#include "kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512F__)
#include <immintrin.h>

#include <cstring>

#include "alu_nest.h"
#include "gemm_block.h"

namespace codesign {
namespace {

struct Vector {
  using Reg = __m512i;
  static constexpr int kLanes = 16, kRows = 12, kWidth = 2, kMinimumSums = 8;
  static constexpr bool kHasAlu = true;
  static CODESIGN_INLINE Reg all(int32_t value) { return _mm512_set1_epi32(value); }
  static CODESIGN_INLINE Reg min(Reg a, Reg b) { return _mm512_min_epi32(a, b); }
  static CODESIGN_INLINE Reg max(Reg a, Reg b) { return _mm512_max_epi32(a, b); }
  static CODESIGN_INLINE Reg mul(Reg a, Reg b) { return _mm512_mullo_epi32(a, b); }
  // Counts beyond 31 shift everything out: to the sign, or to 0.
  static CODESIGN_INLINE Reg shift(Reg a, Reg b) {
    const Reg right = _mm512_srav_epi32(a, b), left = _mm512_sllv_epi32(a, _mm512_sub_epi32(zero(), b));
    return _mm512_mask_mov_epi32(right, _mm512_cmplt_epi32_mask(b, _mm512_setzero_si512()), left);
  }
  static CODESIGN_INLINE Reg zero() { return _mm512_setzero_si512(); }
  static CODESIGN_INLINE Reg load(const int32_t* from) { return _mm512_loadu_si512(from); }
  static CODESIGN_INLINE void store(int32_t* to, Reg value) { _mm512_storeu_si512(to, value); }
  static CODESIGN_INLINE void store_out(int8_t* to, Reg value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(value));
  }
  static CODESIGN_INLINE Reg pair(const int16_t* from) {
    int32_t both;
    std::memcpy(&both, from, sizeof both);
    return _mm512_set1_epi32(both);
  }
  static CODESIGN_INLINE Reg weights(const int16_t* from) { return _mm512_loadu_si512(from); }
  static CODESIGN_INLINE Reg add(Reg a, Reg b) { return _mm512_add_epi32(a, b); }
  static CODESIGN_INLINE Reg dot(Reg sum, Reg a, Reg b) { return _mm512_dpwssd_epi32(sum, a, b); }
};

// For blocks of 8 output channels.
struct HalfVector {
  using Reg = __m256i;
  static constexpr int kLanes = 8, kRows = 12, kWidth = 1, kMinimumSums = 8;
  static constexpr bool kHasAlu = false;
  static CODESIGN_INLINE Reg zero() { return _mm256_setzero_si256(); }
  static CODESIGN_INLINE Reg load(const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static CODESIGN_INLINE void store(int32_t* to, Reg value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  static CODESIGN_INLINE void store_out(int8_t* to, Reg value) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm256_cvtepi32_epi8(value));
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
  static CODESIGN_INLINE Reg dot(Reg sum, Reg a, Reg b) { return _mm256_dpwssd_epi32(sum, a, b); }
};

void gemm(const Operands& g, const GemmBlock& block, const Offsets& base) {
  int64_t channel = all_columns<Vector>(g, block, base, 0);
  channel = all_columns<HalfVector>(g, block, base, channel);
  all_columns<ScalarVector>(g, block, base, channel);
}

// Sixteen independent sums of int8 quadruples (vpdpbusd), the processor's densest form.
int64_t peak(int64_t rounds) {
  __m512i sums[16];
  CODESIGN_UNROLL
  for (int k = 0; k < 16; ++k) sums[k] = _mm512_set1_epi32(k + 1);
  const __m512i weights = _mm512_set1_epi8(3);
  for (int64_t r = 0; r < rounds; ++r) {
    CODESIGN_UNROLL
    for (int k = 0; k < 16; ++k) sums[k] = _mm512_dpbusd_epi32(sums[k], sums[k], weights);
  }
  CODESIGN_UNROLL
  for (int k = 1; k < 16; ++k) sums[0] = _mm512_add_epi32(sums[0], sums[k]);
  __asm__ volatile("" : : "v"(sums[0]));  // the result is used
  return rounds * 16 * 64;
}

}  // namespace

const KernelTable* avx512_kernels() {
  static const KernelTable table = {"avx512_vnni", gemm, alu_nest<Vector>, peak};
  return &table;
}

}  // namespace codesign

#else

namespace codesign {

const KernelTable* avx512_kernels() { return nullptr; }

}  // namespace codesign

#endif
