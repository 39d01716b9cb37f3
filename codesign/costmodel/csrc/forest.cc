#include "forest.h"

#include <algorithm>
#include <vector>

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

}  // namespace

void run(const Forest& forest, const float* values, int32_t features, int64_t rows, float* out) {
  const int64_t inner = (int64_t{1} << forest.depth) - 1;
  std::vector<float> block(static_cast<size_t>(features * kRows));
  for (int64_t first = 0; first < rows; first += kRows) {
    const int64_t count = std::min(kRows, rows - first);
    for (int32_t f = 0; f < features; ++f) {
      std::copy_n(values + f * rows + first, count, block.data() + f * kRows);
    }
    float sums[kRows];
    std::fill_n(sums, kRows, forest.base);
    for (int32_t t = 0; t < forest.trees; ++t) {
      const Split* splits = forest.splits + t * inner;
      const float* leaves = forest.leaves + t * (inner + 1) - inner;
      for (int64_t r = 0; r < kRows; r += kTogether) {
        descend(forest, splits, leaves, block.data() + r, sums + r);
      }
    }
    std::copy_n(sums, count, out + first);
  }
}

}  // namespace codesign::forest
