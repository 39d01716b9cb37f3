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

void require_loadable(const Window& w) {
  if (w.valid_rows >= 1 && w.valid_cols >= 1) return;
  throw Infeasible{"load_padding", "a tile reads only padding: " + std::to_string(w.rows()) + "x" +
                                       std::to_string(w.cols()) + " pixels"};
}

namespace {

// Zeros that pads of LOADs write around one element of data, which a later LOAD has to overwrite.
class ZeroFill {
 public:
  // `dram`: any element that may be read.
  ZeroFill(Stream& stream, int32_t buffer, int64_t dram)
      : stream_(stream), buffer_(buffer), dram_(dram) {}

  // [sram, sram + count) are zeros then, the element behind them is not.
  void before(int64_t sram, int64_t count) {
    while (count > 0) {
      const Pads pads = shape(count);
      stream_.load(kInp, buffer_, {sram, dram_, 1, 1, 1, pads.top, pads.left, 0, 0});
      const int64_t done = pads.left + pads.top * (pads.left + 1);
      sram += done, count -= done;
    }
  }

  // The same, but for the element in front of them.
  void after(int64_t sram, int64_t count) {
    while (count > 0) {
      const Pads pads = shape(count);
      count -= pads.left + pads.top * (pads.left + 1);
      stream_.load(kInp, buffer_, {sram + count - 1, dram_, 1, 1, 1, 0, 0, pads.top, pads.left});
    }
  }

 private:
  // Of at most `count` zeros: pads in x, and rows of one more.
  static Pads shape(int64_t count) {
    const int64_t left = std::min(count, kMaxPad);
    return {count > left ? std::min(kMaxPad, (count - left) / (left + 1)) : 0, left, 0, 0};
  }

  Stream& stream_;
  int32_t buffer_;
  int64_t dram_;
};

// One group's window; `w` in elements instead of pixels, `row` elements from one row to the next.
void load_padded(Stream& stream, const Window& w, int64_t row, int32_t buffer, int64_t dram,
                 int64_t sram) {
  ZeroFill zeros(stream, buffer, dram);
  const int64_t line = w.cols(), end = sram + w.rows() * line;
  if (std::max(w.pads.left, w.pads.right) <= kMaxPad) {
    const int64_t top = std::min(w.pads.top, kMaxPad), bottom = std::min(w.pads.bottom, kMaxPad);
    const int64_t above = (w.pads.top - top) * line, below = (w.pads.bottom - bottom) * line;
    zeros.before(sram, above);
    zeros.after(end - below, below);
    stream.load(kInp, buffer, {sram + above, dram, w.valid_cols, w.valid_rows, row, top,
                               w.pads.left, bottom, w.pads.right});
    return;
  }
  // Row by row: the zeros between two rows are the right pad of one and the left pad of the other.
  int64_t done = sram;
  for (int64_t y = 0; y < w.valid_rows; ++y) {
    const int64_t data = sram + (w.pads.top + y) * line + w.pads.left;
    const bool last = y + 1 == w.valid_rows;
    const int64_t next = last ? end : data + line;
    const int64_t left = std::min(data - done, kMaxPad);
    const int64_t right = std::min(next - data - w.valid_cols, kMaxPad);
    zeros.before(done, data - left - done);
    done = data + w.valid_cols + right;
    if (last) zeros.after(done, end - done);
    stream.load(kInp, buffer,
                {data - left, dram + y * row, w.valid_cols, 1, 0, 0, left, 0, right});
  }
}

}  // namespace

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
  Window elements = w;
  elements.valid_cols *= subs, elements.pads.left *= subs, elements.pads.right *= subs;
  for (int64_t i = 0; i < groups.count; ++i) {
    load_padded(stream, elements, row * w.row_step, buffer, first(i), sram + i * pitch);
  }
}

}  // namespace codesign::units
