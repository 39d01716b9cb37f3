// The only file that knows how Python reaches forests.
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

#include <string>

#include "forest.h"

namespace {

namespace ffi = tvm::ffi;
using namespace codesign::forest;  // NOLINT

void require(bool holds, const std::string& what) {
  if (!holds) TVM_FFI_THROW(ValueError) << "forest: " << what;
}

// features int32 and thresholds float32[trees, 2^depth - 1] interleaved as int32 pairs, leaves
// float32[trees, 2^depth], values float32[features, rows], out float32[rows], written.
void run_forest(ffi::TensorView splits, ffi::TensorView leaves, int64_t depth, double base,
                ffi::TensorView values, ffi::TensorView out) {
  const int64_t trees = leaves.size(0), width = int64_t{1} << depth;
  require(depth >= 0 && depth < 16, "a depth out of range");
  require(leaves.size(1) == width && splits.numel() == 2 * trees * (width - 1), "its tables' sizes");
  require(out.numel() == values.size(1), "rows of out");
  const auto* first = static_cast<const Split*>(splits.data_ptr());
  for (int64_t i = 0; i < trees * (width - 1); ++i) {
    require(first[i].feature >= 0 && first[i].feature < values.size(0), "an unknown feature");
  }
  const Forest forest = {first, static_cast<const float*>(leaves.data_ptr()),
                         static_cast<int32_t>(trees), static_cast<int32_t>(depth),
                         static_cast<float>(base)};
  run(forest, static_cast<const float*>(values.data_ptr()), static_cast<int32_t>(values.size(0)),
      values.size(1), static_cast<float*>(out.data_ptr()));
}

}  // namespace

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run_forest, run_forest);
