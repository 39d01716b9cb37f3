// What max and average pooling share: valid taps, and the part of a window that one step reads.
#ifndef CODESIGN_KERNELS_POOL_H_
#define CODESIGN_KERNELS_POOL_H_

#include <vector>

#include "constants.h"
#include "stream.h"
#include "window.h"
#include "workload.h"

namespace codesign::units {

// Outputs [start, stop) along one axis whose windows have the valid taps [lo, hi).
struct TapRun {
  int64_t start, stop, lo, hi;
};

// Splits outputs start .. start + count by their valid taps.
std::vector<TapRun> tap_runs(const Axis& axis, int64_t start, int64_t count);

// Window rows [first, first + reach) of a pooling: its axes with these rows only.
Axes window_rows(const Axes& axes, int64_t first, int64_t reach);

// Largest input rows x columns of a tile whose window has these axes, padding left out.
int64_t window_pixels(const Axes& axes, int64_t rows, int64_t cols);

Constants emit_max_pool(Stream& stream, const Pool& workload, const Schedule& schedule);

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_POOL_H_
