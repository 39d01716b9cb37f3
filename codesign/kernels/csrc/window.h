// Spatial tiles, the input windows they read, and the LOADs that bring a window in.
#ifndef CODESIGN_KERNELS_WINDOW_H_
#define CODESIGN_KERNELS_WINDOW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "blocking.h"
#include "workload.h"

namespace codesign::units {

class Stream;
struct Transfer;

constexpr int64_t kMaxField = 65535;
constexpr int64_t kMaxPad = 15;

// Output pixels [y, y + rows) x [x, x + cols).
struct SpatialTile {
  int64_t y, x, rows, cols;
  int64_t pixels() const { return rows * cols; }
};

// Cuts an output plane; `column_major` walks down a strip of columns before the next.
std::vector<SpatialTile> spatial_tiles(int64_t height, int64_t width, int64_t rows, int64_t cols,
                                       bool column_major = false);

// One spatial axis of a windowed operation, sizes in pixels: output o reads positions
// o * stride - before + [0, reach) of the input with up - 1 zeros between its pixels.
struct Axis {
  int64_t extent, reach, stride, before, up = 1;

  struct Span {
    int64_t first, count;
  };
  // First input position (may be negative) and length that `count` outputs from `start` on read.
  Span span(int64_t start, int64_t count) const {
    const int64_t first = ceil_div(start * stride - before, up);
    const int64_t last = floor_div((start + count - 1) * stride - before + reach - 1, up);
    return {first, last - first + 1};
  }
};

struct Axes {
  Axis vertical, horizontal;
};
Axes axes(const Conv& workload);
Axes axes(const Pool& workload);

// Input rows and columns a tile reads, in SRAM including padding. (y, x) is the first pixel in
// DRAM; valid_rows x valid_cols come from DRAM, the pads are zeros. `row_step` skips rows that no
// output reads.
struct Window {
  int64_t y, x, valid_rows, valid_cols;
  Pads pads;
  int64_t row_step = 1;

  int64_t rows() const { return pads.top + valid_rows + pads.bottom; }
  int64_t cols() const { return pads.left + valid_cols + pads.right; }
  // Without its first `count` rows, which are on chip already.
  Window without_top(int64_t count) const;
};

// The window of a tile; with a `border` in DRAM padding is read from there. `sampled`: bring only
// the rows that a 1-row kernel with a stride reads.
Window window(const Axes& axes, const SpatialTile& tile, int64_t border, bool sampled = false);

// The part of a tile's window inside the tensor, without padding (pooling).
Window clipped_window(const Axes& axes, const SpatialTile& tile);

// Throws Infeasible where a window holds no pixel of the tensor: no LOAD writes zeros alone.
void require_loadable(const Window& window);

// Consecutive channel groups.
struct Groups {
  int64_t first, count;
};

// LOADs of a window of several channel groups into INP, `pitch` elements apart. Padding of more
// than LOAD's 15 rows or elements comes from more LOADs.
void load_window(Stream& stream, const Window& window, const TensorLayout& layout, Groups groups,
                 int64_t subs, int32_t buffer, int64_t sram, int64_t pitch);

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_WINDOW_H_
