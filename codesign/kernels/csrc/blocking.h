// How channels are cut into tiles of BLOCK_IN and BLOCK_OUT, and how activations lie in DRAM.
//
// A group is KM = max(BLOCK_IN, BLOCK_OUT) channels: one pixel of one group is what a tensor keeps
// together, whichever side of the GEMM core reads or writes it.
#ifndef CODESIGN_KERNELS_BLOCKING_H_
#define CODESIGN_KERNELS_BLOCKING_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "simulator.h"

namespace codesign::units {

// Every buffer in DRAM begins at a multiple of this, so that timing never depends on placement.
constexpr int64_t kAlignment = 4096;

// Both round towards their name, for any sign of `a`; b > 0.
inline int64_t ceil_div(int64_t a, int64_t b) { return a > 0 ? (a - 1) / b + 1 : -(-a / b); }
inline int64_t floor_div(int64_t a, int64_t b) { return -ceil_div(-a, b); }
inline int64_t align(int64_t bytes) { return ceil_div(bytes, kAlignment) * kAlignment; }

struct Blocking {
  int64_t block_in, block_out;

  static Blocking of(const Config& config) { return {config.block_in, config.block_out}; }
  int64_t group() const { return std::max(block_in, block_out); }
  // INP elements, and ACC or OUT elements, of one pixel of one group.
  int64_t in_subs() const { return group() / block_in; }
  int64_t out_subs() const { return group() / block_out; }
  int64_t groups(int64_t channels) const { return ceil_div(channels, group()); }
  int64_t in_blocks(int64_t channels) const { return ceil_div(channels, block_in); }
  int64_t out_blocks(int64_t channels) const { return ceil_div(channels, block_out); }
};

// `groups` consecutive output groups from `first` on, each with `subs` OUT sub-blocks.
struct ChannelTile {
  int64_t first, groups, subs;
  int64_t blocks() const { return groups * subs; }
};

// Cuts output channels into tiles of `step` groups; a ragged last group stands alone.
inline std::vector<ChannelTile> channel_tiles(int64_t channels, int64_t step,
                                              const Blocking& blocking) {
  const int64_t subs = blocking.out_subs(), blocks = blocking.out_blocks(channels);
  const int64_t full = blocks / subs, ragged = blocks % subs;
  std::vector<ChannelTile> tiles;
  for (int64_t first = 0; first < full; first += step) {
    tiles.push_back({first, std::min(step, full - first), subs});
  }
  if (ragged) tiles.push_back({full, 1, ragged});
  return tiles;
}

// An int8 activation in DRAM: [groups][H + 2 border][W + 2 border][BATCH][KM].
struct TensorLayout {
  int64_t channels, height, width, border;

  int64_t pitch() const { return width + 2 * border; }
  int64_t rows() const { return height + 2 * border; }
  int64_t bytes(const Config& config) const {
    const Blocking blocking = Blocking::of(config);
    return blocking.groups(channels) * rows() * pitch() * config.batch * blocking.group();
  }
  // Index of a pixel, counted in pixels of one group; y, x may reach into the border.
  int64_t pixel(int64_t group, int64_t y, int64_t x) const {
    return (group * rows() + y + border) * pitch() + x + border;
  }
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_BLOCKING_H_
