// Kernels for any processor; SSE2 where the compiler may assume it (every x86-64).
#include "alu_nest.h"
#include "gemm_block.h"
#if defined(__SSE2__)
#include <emmintrin.h>

#include <cstring>
#endif

namespace codesign {
namespace {

#if defined(__SSE2__)
struct Vector {
  using Reg = __m128i;
  static constexpr int kLanes = 4, kRows = 6, kWidth = 2, kMinimumSums = 1;
  static constexpr bool kHasAlu = false;
  static CODESIGN_INLINE Reg zero() { return _mm_setzero_si128(); }
  static CODESIGN_INLINE Reg load(const int32_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  static CODESIGN_INLINE void store(int32_t* to, Reg value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }
  static CODESIGN_INLINE void store_out(int8_t* to, Reg value) {
    const __m128i low = _mm_and_si128(value, _mm_set1_epi32(0xff));
    const __m128i words = _mm_packs_epi32(low, low);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    std::memcpy(to, &bytes, sizeof bytes);
  }
  static CODESIGN_INLINE Reg pair(const int16_t* from) {
    int32_t both;
    std::memcpy(&both, from, sizeof both);
    return _mm_set1_epi32(both);
  }
  static CODESIGN_INLINE Reg weights(const int16_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  static CODESIGN_INLINE Reg add(Reg a, Reg b) { return _mm_add_epi32(a, b); }
  static CODESIGN_INLINE Reg dot(Reg sum, Reg a, Reg b) {
    return _mm_add_epi32(sum, _mm_madd_epi16(a, b));
  }
};
#endif

void gemm(const Operands& g, const GemmBlock& block, const Offsets& base) {
  int64_t channel = 0;
#if defined(__SSE2__)
  channel = all_columns<Vector>(g, block, base, channel);
#endif
  all_columns<ScalarVector>(g, block, base, channel);
}

}  // namespace

const KernelTable* portable_kernels() {
  static const KernelTable table = {"portable", gemm, alu_nest<ScalarVector>, nullptr};
  return &table;
}

}  // namespace codesign
