// What every unit does with an accumulator tile: reset, sum, requantise, store.
#ifndef CODESIGN_KERNELS_OUTPUT_H_
#define CODESIGN_KERNELS_OUTPUT_H_

#include "blocking.h"
#include "stream.h"
#include "window.h"
#include "workload.h"

namespace codesign::units {

// Accumulators a slot keeps for partial sums of tiles with fewer than three outputs.
constexpr int64_t kScratch = 2;

// Weight tiles of a bias: 1 from 16 input lanes on, more for narrower cores.
int64_t default_bias_tiles(const Config& config);

Instruction reset(Stream& stream, int64_t base, int64_t count);

// A GEMM over `dims` in the step's main part; fewer than three outputs sum in turn through clean
// accumulators: two at `scratch`, which are reset first and added at the end.
void summed_gemm(Stream& stream, const Dims& dims, int64_t outputs, int64_t acc, int64_t src,
                 int64_t wgt, int64_t scratch);

// One GEMM per bias tile: constant input element x bias weight tile, over the outputs.
void add_bias(Stream& stream, const Dims& dims, int64_t acc, int64_t wgt, int64_t tiles);

// Between two digits of the multipliers: `count` accumulators times 256.
void next_digit(Stream& stream, int64_t base, int64_t count);

// SHR, MAX, MIN over `count` accumulators; the rounding constant is already in them.
void requantize(Stream& stream, int64_t base, int64_t count, const Requant& numbers);

// ACC elements an output block that scale accumulators: least, most, multiplier, fraction, offset.
constexpr int64_t kScalingRows = 5;

// The same with a scaling for each output block: row r of the tile's first block lies at ACC element
// scaling + r * pitch. `copy`: as many free accumulators as the tile has.
void multiply_requantize(Stream& stream, int64_t base, const ChannelTile& channels, int64_t pixels,
                         int64_t scaling, int64_t pitch, int64_t copy, const Requant& numbers);

// A contiguous part of an accumulator tile, finished and stored on its own; `group` is its first
// output group, from the tile's first.
struct OutputPart {
  ChannelTile channels;
  SpatialTile tile;
  int64_t acc, group;
};

// The tile in so many parts that storing one while the next is finished pays for the instructions:
// what no later work hides (the last tile, or any if there is one slot) drains sooner.
std::vector<OutputPart> output_parts(const Config& config, const ChannelTile& channels,
                                     const SpatialTile& tile, int64_t acc, bool hidden);

// STOREs of an accumulator tile laid out [group][row][col][sub].
void store_tile(Stream& stream, int64_t base, const ChannelTile& channels, const SpatialTile& tile,
                const TensorLayout& layout);

// Weight tiles of one scaled identity, by which an input element enters the accumulators.
int64_t identity_count(const Blocking& blocking);

// Loops over the groups and sub-blocks of a channel tile. `dst_group` and `src_group` are the
// elements of one group in ACC and INP. Output sub-blocks read the same input element through
// different tiles; input sub-blocks add up in one output.
Dims lane_dims(const Blocking& blocking, const ChannelTile& channels, int64_t dst_group,
               int64_t src_group);

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_OUTPUT_H_
