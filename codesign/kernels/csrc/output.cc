#include "output.h"

#include <cmath>

namespace codesign::units {

int64_t default_bias_tiles(const Config& config) {
  return std::max<int64_t>(1, 16 / config.block_in);
}

Instruction reset(Stream& stream, int64_t base, int64_t count) {
  return stream.gemm(linear(count, 1, 0), base, 0, 0, true);
}

void summed_gemm(Stream& stream, const Dims& dims, int64_t outputs, int64_t acc, int64_t src,
                 int64_t wgt, int64_t scratch) {
  const int64_t partials = partial_sums(outputs);
  const bool reduces = std::any_of(dims.begin(), dims.end(),
                                   [](const Dim& d) { return d.dst == 0 && d.extent > 1; });
  if (partials == 1 || !reduces) {
    stream.main(stream.gemm(stream.planned(dims), acc, src, wgt));
    return;
  }
  const std::vector<Turn> turns = plan_turns(dims, outputs, scratch - acc, stream.max_uops());
  if (turns.empty()) stream.require(nullptr);
  stream.main(reset(stream, scratch, (partials - 1) * outputs));
  for (const Turn& t : turns) stream.main(stream.gemm(t.nest, acc, src + t.src, wgt + t.wgt));
  for (const Nest& sum : partial_sum_nests(dims, outputs, scratch - acc)) {
    stream.main(stream.alu(kAdd, sum, acc, acc));
  }
}

void add_bias(Stream& stream, const Dims& dims, int64_t acc, int64_t wgt, int64_t tiles) {
  const NestPtr nest = stream.planned(dims);
  for (int64_t k = 0; k < tiles; ++k) {
    stream.main(stream.gemm(nest, acc, stream.unit_element(), wgt + k));
  }
}

void next_digit(Stream& stream, int64_t base, int64_t count) {
  stream.main(stream.alu(kShr, *linear(count), base, base, -8));
}

void requantize(Stream& stream, int64_t base, int64_t count, const Requant& numbers) {
  const NestPtr nest = linear(count);
  const auto apply = [&](AluOp op, int64_t imm) {
    stream.post(stream.alu(op, *nest, base, base, imm));
  };
  for (int64_t shift : numbers.shifts()) apply(kShr, shift);
  apply(kMax, numbers.low);
  apply(kMin, numbers.high);
}

void multiply_requantize(Stream& stream, int64_t base, const ChannelTile& channels, int64_t pixels,
                         int64_t scaling, int64_t pitch, int64_t copy, const Requant& numbers) {
  const int64_t subs = channels.subs, count = channels.blocks() * pixels;
  const NestPtr all = linear(count);
  const NestPtr each = stream.planned(
      {{channels.groups, pixels * subs, subs}, {pixels, subs, 0}, {subs, 1, 1}});
  enum Row : int64_t { kLeast, kMost, kMultiplier, kFraction, kOffset };
  const auto by_block = [&](AluOp op, int64_t dst, Row row) {
    stream.post(stream.alu(op, *each, dst, scaling + row * pitch));
  };
  by_block(kMax, base, kLeast);
  by_block(kMin, base, kMost);
  stream.post(reset(stream, copy, count));
  stream.post(stream.alu(kAdd, *all, copy, base));
  by_block(kMul, copy, kFraction);
  stream.post(stream.alu(kShr, *all, copy, copy, numbers.pre_shift));
  by_block(kMul, base, kMultiplier);
  stream.post(stream.alu(kAdd, *all, base, copy));
  by_block(kAdd, base, kOffset);
  requantize(stream, base, count, numbers);
}

std::vector<OutputPart> output_parts(const Config& config, const ChannelTile& channels,
                                     const SpatialTile& tile, int64_t acc, bool hidden) {
  constexpr double kInstructionCycles = 28;  // overhead of one part's bias, SHR, MAX and MIN
  const int64_t outputs = channels.blocks() * tile.pixels();
  const int64_t beats = ceil_div(element_bytes(config, kOut), config.bus_bytes());
  const auto store_cycles = static_cast<double>(outputs * (beats > 1 ? beats + 1 : 1));
  int64_t parts = std::llround(std::sqrt(store_cycles / kInstructionCycles));
  // Parts of fewer elements than the reuse distance have no nest.
  parts = std::min(parts, outputs / 16);
  if (hidden || parts < 2) return {{channels, tile, acc, 0}};
  const int64_t step = ceil_div(channels.groups, std::min(channels.groups, parts));
  const int64_t row_parts = std::min(tile.rows, parts / channels.groups);
  const int64_t rows = row_parts > 1 ? ceil_div(tile.rows, row_parts) : tile.rows;
  std::vector<OutputPart> all;
  for (int64_t g = 0; g < channels.groups; g += step) {
    const ChannelTile part = {channels.first + g, std::min(step, channels.groups - g),
                              channels.subs};
    for (int64_t y = 0; y < tile.rows; y += rows) {
      const SpatialTile some = {tile.y + y, tile.x, std::min(rows, tile.rows - y), tile.cols};
      const int64_t offset = (g * tile.rows + y) * tile.cols * channels.subs;
      all.push_back({part, some, acc + offset, g});
    }
  }
  return all;
}

void store_tile(Stream& stream, int64_t base, const ChannelTile& channels, const SpatialTile& tile,
                const TensorLayout& layout) {
  const int64_t subs = channels.subs;
  const int64_t pitch = Blocking::of(stream.config()).out_subs();
  const bool whole = tile.cols == layout.pitch();
  for (int64_t i = 0; i < channels.groups; ++i) {
    const int64_t sram = base + i * tile.pixels() * subs;
    const int64_t dram = layout.pixel(channels.first + i, tile.y, tile.x) * pitch;
    // Ragged group: one pixel a row. The group's other lanes keep what lies there; whoever reads
    // them multiplies them with weights of 0.
    if (subs < pitch) {
      const int64_t lines = whole ? 1 : tile.rows, pixels = tile.pixels() / lines;
      for (int64_t y = 0; y < lines; ++y) {
        stream.store({sram + y * pixels * subs, dram + y * layout.pitch() * pitch, subs, pixels,
                      pitch});
      }
    } else if (whole && tile.pixels() * pitch <= kMaxField) {
      stream.store({sram, dram, tile.pixels() * pitch});
    } else {
      stream.store({sram, dram, tile.cols * pitch, tile.rows, layout.pitch() * pitch});
    }
  }
}

int64_t identity_count(const Blocking& blocking) {
  return std::max(blocking.in_subs(), blocking.out_subs());
}

Dims lane_dims(const Blocking& blocking, const ChannelTile& channels, int64_t dst_group,
               int64_t src_group) {
  return {{channels.groups, dst_group, src_group},
          {channels.subs, 1, 0, 1},
          {blocking.in_subs(), 0, 1, 1}};
}

}  // namespace codesign::units
