#include "forest.h"

#include <algorithm>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace codesign::forest {
namespace {

// Rows at once: their features and one tree stay in the first cache.
constexpr int64_t kRows = 64;
// Rows that go down a tree side by side: each waits for its own loads.
constexpr int64_t kTogether = 8;

void descend(const Forest& forest, const Split* splits, const float* leaves, const float* rows,
             float* sums) {
  int32_t at[kTogether] = {};
  for (int32_t d = 0; d < forest.depth; ++d) {
    for (int64_t i = 0; i < kTogether; ++i) {
      const Split split = splits[at[i]];
      at[i] = 2 * at[i] + 1 + (rows[split.feature * kRows + i] >= split.threshold);
    }
  }
  for (int64_t i = 0; i < kTogether; ++i) sums[i] += leaves[at[i]];
}

// Adds the leaves of all trees for a block float32[features, kRows].
void add_by_descent(const Forest& forest, const float* block, float* sums) {
  const int64_t inner = (int64_t{1} << forest.depth) - 1;
  for (int32_t t = 0; t < forest.trees; ++t) {
    const Split* splits = forest.splits + t * inner;
    const float* leaves = forest.leaves + t * (inner + 1) - inner;
    for (int64_t r = 0; r < kRows; r += kTogether) {
      descend(forest, splits, leaves, block + r, sums + r);
    }
  }
}

#if defined(__x86_64__)
// A split as the leaves that rows at or above its threshold do not reach: a row's leaf is the first
// that none of its tree's splits takes away (QuickScorer, Lucchese et al., SIGIR 2015).
struct Cut {
  int64_t start;  // of its feature in a block
  float threshold;
  uint64_t others;
};

// Leaves that a bit of `Cut::others` can name.
constexpr int32_t kDeepest = 6;

// The splits that matter, tree by tree.
std::vector<std::vector<Cut>> cuts_of(const Forest& forest) {
  const int64_t width = int64_t{1} << forest.depth;
  std::vector<std::vector<Cut>> found(static_cast<size_t>(forest.trees));
  for (int32_t t = 0; t < forest.trees; ++t) {
    const float* leaves = forest.leaves + t * width;
    const Split* split = forest.splits + t * (width - 1);
    for (int64_t under = width; under > 1; under /= 2) {
      for (int64_t first = 0; first < width; first += under, ++split) {
        const auto unlike = [&](float leaf) { return leaf != leaves[first]; };
        if (std::none_of(leaves + first, leaves + first + under, unlike)) continue;
        const uint64_t left = ((uint64_t{1} << (under / 2)) - 1) << first;
        found[static_cast<size_t>(t)].push_back({split->feature * kRows, split->threshold, ~left});
      }
    }
  }
  return found;
}

__attribute__((target("avx512f"))) void add_by_cuts(const Forest& forest,
                                                    const std::vector<std::vector<Cut>>& cuts,
                                                    const float* block, float* sums) {
  constexpr int kVectors = kRows / 8;
  alignas(64) uint64_t reached[kRows];
  for (int32_t t = 0; t < forest.trees; ++t) {
    __m512i left[kVectors];
    for (auto& vector : left) vector = _mm512_set1_epi64(-1);
    for (const Cut& cut : cuts[static_cast<size_t>(t)]) {
      const __m512 threshold = _mm512_set1_ps(cut.threshold);
      const __m512i others = _mm512_set1_epi64(static_cast<int64_t>(cut.others));
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; i += 2) {
        const __m512 values = _mm512_loadu_ps(block + cut.start + 8 * i);
        const __mmask16 right = _mm512_cmp_ps_mask(values, threshold, _CMP_GE_OQ);
        left[i] = _mm512_mask_and_epi64(left[i], static_cast<__mmask8>(right), left[i], others);
        left[i + 1] = _mm512_mask_and_epi64(left[i + 1], static_cast<__mmask8>(right >> 8),
                                            left[i + 1], others);
      }
    }
    for (int i = 0; i < kVectors; ++i) _mm512_store_si512(reached + 8 * i, left[i]);
    const float* leaves = forest.leaves + (static_cast<int64_t>(t) << forest.depth);
    for (int64_t r = 0; r < kRows; ++r) sums[r] += leaves[__builtin_ctzll(reached[r])];
  }
}
#endif

}  // namespace

void run(const Forest& forest, const float* values, int32_t features, int64_t rows, float* out) {
#if defined(__x86_64__)
  const bool cutting = forest.depth <= kDeepest && __builtin_cpu_supports("avx512f");
  const auto cuts = cutting ? cuts_of(forest) : std::vector<std::vector<Cut>>{};
#endif
  std::vector<float> block(static_cast<size_t>(features * kRows));
  for (int64_t first = 0; first < rows; first += kRows) {
    const int64_t count = std::min(kRows, rows - first);
    for (int32_t f = 0; f < features; ++f) {
      std::copy_n(values + f * rows + first, count, block.data() + f * kRows);
    }
    float sums[kRows];
    std::fill_n(sums, kRows, forest.base);
#if defined(__x86_64__)
    if (cutting) {
      add_by_cuts(forest, cuts, block.data(), sums);
    } else {
      add_by_descent(forest, block.data(), sums);
    }
#else
    add_by_descent(forest, block.data(), sums);
#endif
    std::copy_n(sums, count, out + first);
  }
}

}  // namespace codesign::forest
