#include "window.h"

#include "infeasible.h"
#include "stream.h"

namespace codesign::units {

std::vector<SpatialTile> spatial_tiles(int64_t height, int64_t width, int64_t rows, int64_t cols,
                                       bool column_major) {
  std::vector<SpatialTile> tiles;
  const auto add = [&](int64_t y, int64_t x) {
    tiles.push_back({y, x, std::min(rows, height - y), std::min(cols, width - x)});
  };
  if (column_major) {
    for (int64_t x = 0; x < width; x += cols) {
      for (int64_t y = 0; y < height; y += rows) add(y, x);
    }
  } else {
    for (int64_t y = 0; y < height; y += rows) {
      for (int64_t x = 0; x < width; x += cols) add(y, x);
    }
  }
  return tiles;
}

Axes axes(const Conv& w) {
  return {{w.height, w.reach().y, w.stride.y, w.padding.top, w.up.y},
          {w.width, w.reach().x, w.stride.x, w.padding.left, w.up.x}};
}

Axes axes(const Pool& w) {
  return {{w.height, w.kernel.y, w.stride.y, w.padding.top},
          {w.width, w.kernel.x, w.stride.x, w.padding.left}};
}

Window Window::without_top(int64_t count) const {
  const int64_t skip = std::max<int64_t>(0, count - pads.top);
  Window rest = *this;
  rest.y += skip;
  rest.valid_rows -= skip;
  rest.pads.top = std::max<int64_t>(0, pads.top - count);
  return rest;
}

Window window(const Axes& axes, const SpatialTile& tile, int64_t border, bool sampled) {
  const auto [y, rows] = axes.vertical.span(tile.y, tile.rows);
  const auto [x, cols] = axes.horizontal.span(tile.x, tile.cols);
  if (border) return {y, x, rows, cols, {0, 0, 0, 0}};
  const int64_t none = 0;
  const int64_t top = std::max(none, -y);
  const int64_t bottom = std::max(none, y + rows - axes.vertical.extent);
  const int64_t left = std::max(none, -x);
  const int64_t right = std::max(none, x + cols - axes.horizontal.extent);
  if (sampled) {
    return {y, x + left, tile.rows, cols - left - right, {0, left, 0, right}, axes.vertical.stride};
  }
  return {y + top, x + left, rows - top - bottom, cols - left - right, {top, left, bottom, right}};
}

Window clipped_window(const Axes& axes, const SpatialTile& tile) {
  const auto [y, rows] = axes.vertical.span(tile.y, tile.rows);
  const auto [x, cols] = axes.horizontal.span(tile.x, tile.cols);
  const int64_t y0 = std::max<int64_t>(0, y), x0 = std::max<int64_t>(0, x);
  const int64_t y1 = std::min(axes.vertical.extent, y + rows);
  const int64_t x1 = std::min(axes.horizontal.extent, x + cols);
  return {y0, x0, y1 - y0, x1 - x0, {0, 0, 0, 0}};
}

void require_loadable(const Window& w, int64_t subs) {
  const int64_t pads =
      std::max({w.pads.top, w.pads.bottom, w.pads.left * subs, w.pads.right * subs});
  if (pads <= kMaxPad && w.valid_rows >= 1 && w.valid_cols >= 1) return;
  throw Infeasible{"load_padding",
                   "a window of " + std::to_string(w.valid_rows) + "x" +
                       std::to_string(w.valid_cols) + " pixels with up to " +
                       std::to_string(pads) + " elements of padding exceeds LOAD's pads of 15"};
}

void load_window(Stream& stream, const Window& w, const TensorLayout& layout, Groups groups,
                 int64_t subs, int32_t buffer, int64_t sram, int64_t pitch) {
  const int64_t row = layout.pitch() * subs, plane = layout.rows() * row;
  const auto first = [&](int64_t i) {
    return layout.pixel(groups.first + i, w.y, w.x) * subs;
  };
  const bool padded = w.pads.top || w.pads.left || w.pads.bottom || w.pads.right;
  const int64_t size = w.valid_rows * row;
  // A whole-width window is contiguous in DRAM; if its groups are so in INP, all load at once.
  if (w.valid_cols == layout.pitch() && !padded && w.row_step == 1 && size <= kMaxField) {
    if (groups.count > 1 && pitch == size && plane <= kMaxField) {
      stream.load(kInp, buffer, {sram, first(0), size, groups.count, plane});
      return;
    }
    for (int64_t i = 0; i < groups.count; ++i) {
      stream.load(kInp, buffer, {sram + i * pitch, first(i), size});
    }
    return;
  }
  for (int64_t i = 0; i < groups.count; ++i) {
    stream.load(kInp, buffer,
                {sram + i * pitch, first(i), w.valid_cols * subs, w.valid_rows, row * w.row_step,
                 w.pads.top, w.pads.left * subs, w.pads.bottom, w.pads.right * subs});
  }
}

}  // namespace codesign::units
