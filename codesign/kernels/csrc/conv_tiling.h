// How one convolution is cut: channel tiles, reduction chunks, spatial tiles, scratchpad demand.
#ifndef CODESIGN_KERNELS_CONV_TILING_H_
#define CODESIGN_KERNELS_CONV_TILING_H_

#include <vector>

#include "blocking.h"
#include "constants.h"
#include "output.h"
#include "window.h"
#include "workload.h"

namespace codesign::units {

// Output positions of one axis that read the same taps: all of them, or, of a transposed
// convolution, every up-th. Output out0 + i * out_step of the tile reads, through tap
// taps.first + k * taps.step, input position in0 + i * in_step + k * tap_step of the window.
struct Phase {
  int64_t out0, out_step, count;
  Piece::Taps taps;
  int64_t in0, in_step, tap_step;
};

// Output groups of a channel tile whose input groups are equally many and equally far apart.
struct Run {
  int64_t first, groups;      // output groups, from the tile's first
  int64_t in_first;           // input group of the first, from the chunk's first
  int64_t in_step;            // input groups from one output group to the next
  int64_t full, ragged;       // whole input groups, and blocks of a last one that is not whole
  int64_t in_blocks(int64_t subs) const { return full * subs + ragged; }
};

// One part of a channel tile's reduction: input groups and kernel rows.
struct Chunk {
  Groups inputs;
  Piece::Taps rows;
  std::vector<Run> runs;
  bool last;
  int64_t tiles = 0;    // weight tiles in DRAM and WGT, biases of the last chunk included
  int64_t bias = 0;     // the first bias tile, from the chunk's first tile
  int64_t address = 0;  // in DRAM, in WGT elements
};

struct ConvTile {
  ChannelTile channels;
  Groups inputs;
  std::vector<Chunk> chunks;
};

class ConvTiling {
 public:
  // Throws Infeasible where a scratchpad or a field overflows.
  ConvTiling(const Conv& workload, const Config& config, const Schedule& schedule);

  // The phases of a tile along one axis, in the order of their weights; `rows` restricts taps.
  std::vector<Phase> vertical_phases(const SpatialTile& tile, const Piece::Taps& rows) const;
  std::vector<Phase> horizontal_phases(const SpatialTile& tile) const;
  Window window(const SpatialTile& tile) const {
    return units::window(axes, tile, workload.in_border, sampled);
  }
  bool sliding() const { return schedule.dataflow == Dataflow::rs; }
  // ACC elements that scale accumulators.
  int64_t scalings() const {
    return workload.multiply ? kScalingRows * blocking.out_blocks(workload.out_channels) : 0;
  }
  bool residual() const { return workload.residual_border >= 0; }
  // Whether each step's output tile is one GEMM, whose partial sums may wait for the last chunk.
  bool simple() const {
    return workload.groups == 1 && workload.up.y * workload.up.x == 1 && !residual();
  }

  const Conv& workload;
  const Config& config;
  const Schedule& schedule;
  const Blocking blocking;
  const TensorLayout source, target;
  const Axes axes;
  // Whether only every stride-th input row is read, and so only those are loaded.
  const bool sampled;
  // Input rows in SRAM from one output row to the next.
  const int64_t row_stride;

  std::vector<ConvTile> tiles;       // by output channels
  std::vector<SpatialTile> spatial;  // column by column where the window slides
  Constants constants;
  int64_t identity = 0;     // of the residual: in DRAM, in WGT elements
  int64_t scaling = 0;      // in DRAM, in ACC elements

  // Elements of one slot.
  int64_t wgt_slot = 0, acc_slot = 0, inp_slot = 0, residual_slot = 0;
  int64_t strip_pitch = 0;  // INP elements from one group of a strip to the next

 private:
  std::vector<Chunk> chunks(const ChannelTile& channels, Groups* inputs) const;
  // Input groups that output group `group` reads.
  Groups inputs_of(int64_t group) const;
  void place_weights(const ChannelTile& channels, Chunk& chunk);
  void size_slots();
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_CONV_TILING_H_
