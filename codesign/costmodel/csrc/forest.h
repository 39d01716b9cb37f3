// Sums of regression trees over many rows.
#ifndef CODESIGN_COSTMODEL_FOREST_H_
#define CODESIGN_COSTMODEL_FOREST_H_

#include <cstdint>

namespace codesign::forest {

// A split of a tree: rows whose feature is at least the threshold go right.
struct Split {
  int32_t feature;
  float threshold;
};
static_assert(sizeof(Split) == 8);

// Complete trees of one depth: the splits of tree t are splits[t * (2^depth - 1) + i], the children
// of split i are 2i + 1 and 2i + 2; its leaves are leaves[t * 2^depth + ...] from left to right.
struct Forest {
  const Split* splits;
  const float* leaves;
  int32_t trees, depth;
  float base;
};

// out[row] = base + the leaves of its trees, summed in their order, float32 throughout.
// values: float32[features, rows].
void run(const Forest& forest, const float* values, int32_t features, int64_t rows, float* out);

}  // namespace codesign::forest

#endif  // CODESIGN_COSTMODEL_FOREST_H_
