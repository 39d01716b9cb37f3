#include "conv_tiling.h"

#include <numeric>

#include "infeasible.h"

namespace codesign::units {
namespace {

bool reads_single_rows(const Conv& w) {
  const bool padded = w.padding.top || w.padding.bottom || w.in_border;
  return w.kernel.y == 1 && w.stride.y > 1 && !padded;
}

// Taps first, first + 1, ... of `rows` that reach an input pixel from outputs = phase mod up.
Piece::Taps phase_taps(const Axis& axis, int64_t dilation, int64_t phase, const Piece::Taps& taps) {
  const int64_t step = axis.up / std::gcd(dilation, axis.up);
  for (int64_t k = taps.first; k < taps.first + taps.count; ++k) {
    const int64_t position = phase - axis.before + k * dilation;
    if (position - floor_div(position, axis.up) * axis.up != 0) continue;
    return {k, step, ceil_div(taps.first + taps.count - k, step)};
  }
  return {0, 1, 0};
}

// `start`: first output; `first`: input position at the start of the window.
std::vector<Phase> phases(const Axis& axis, int64_t dilation, int64_t in_step, int64_t start,
                          int64_t count, int64_t first, const Piece::Taps& taps) {
  if (axis.up == 1) {
    return {{0, 1, count, taps, taps.first * dilation, in_step, dilation}};
  }
  std::vector<Phase> all;
  for (int64_t p = 0; p < axis.up; ++p) {
    const int64_t out0 = (p - start % axis.up + axis.up) % axis.up;
    Phase phase = {out0, axis.up, ceil_div(count - out0, axis.up),
                   phase_taps(axis, dilation, p, taps), 0, 1, 0};
    const int64_t position = start + out0 - axis.before + phase.taps.first * dilation;
    phase.in0 = floor_div(position, axis.up) - first;
    phase.tap_step = phase.taps.step * dilation / axis.up;
    all.push_back(phase);
  }
  return all;
}

struct Extremes {
  int64_t longest = 0, valid = INT64_MAX;
};

}  // namespace

ConvTiling::ConvTiling(const Conv& w, const Config& c, const Schedule& s)
    : workload(w), config(c), schedule(s), blocking(Blocking::of(c)), source(w.sources()[0]),
      target(w.target()), axes(units::axes(w)), sampled(reads_single_rows(w)),
      row_stride(sampled ? 1 : w.stride.y),
      spatial(spatial_tiles(w.out_height(), w.out_width(), s.rows, s.cols,
                            s.dataflow == Dataflow::rs)),
      constants(c) {
  if (sliding() && (w.up.y * w.up.x > 1 || (w.groups > 1 && !s.co_major))) {
    throw Infeasible{"dataflow", "rs serves no transposed convolution, and groups only with "
                                 "output channels outermost"};
  }
  if (w.multiply && !c.has_mul) {
    throw Infeasible{"has_mul", "a multiplier for each channel needs HAS_MUL"};
  }
  if (w.multiply && residual()) {
    throw Infeasible{"operator", "a residual and a multiplier for each channel exclude each other"};
  }
  if (residual()) {
    identity = constants.add({Piece::kIdentity, 0, 1, 0, 0, {}, {}}, identity_count(blocking));
  }
  for (const ChannelTile& channels : channel_tiles(w.out_channels, s.out_groups, blocking)) {
    ConvTile tile{channels, {}, {}};
    tile.chunks = chunks(channels, &tile.inputs);
    for (Chunk& chunk : tile.chunks) place_weights(channels, chunk);
    tiles.push_back(std::move(tile));
  }
  if (w.multiply) scaling = constants.scaling(scalings());
  size_slots();
}

Groups ConvTiling::inputs_of(int64_t group) const {
  const int64_t in = workload.in_channels / workload.groups;
  const int64_t out = workload.out_channels / workload.groups;
  const int64_t first = group * blocking.group() / out;
  const int64_t last = std::min((group + 1) * blocking.group(), workload.out_channels) - 1;
  const int64_t begin = first * in / blocking.group();
  return {begin, blocking.groups((last / out + 1) * in) - begin};
}

std::vector<Chunk> ConvTiling::chunks(const ChannelTile& channels, Groups* inputs) const {
  std::vector<Run> runs;
  Groups all = inputs_of(channels.first);
  for (int64_t g = 0; g < channels.groups; ++g) {
    const Groups in = inputs_of(channels.first + g);
    all.count = in.first + in.count - all.first;
    if (!runs.empty() && runs.back().full == in.count) {
      Run& run = runs.back();
      const int64_t step = in.first - all.first - run.in_first - (run.groups - 1) * run.in_step;
      if (run.groups == 1) run.in_step = step;
      if (run.in_step == step) {
        ++run.groups;
        continue;
      }
    }
    runs.push_back({g, 1, in.first - all.first, 0, in.count, 0});
  }
  *inputs = all;
  const int64_t kernel = workload.kernel.y;
  const int64_t height = schedule.kernel_rows > 0 ? schedule.kernel_rows : kernel;
  std::vector<Chunk> found;
  const auto add = [&](Groups part, const std::vector<Run>& of) {
    for (int64_t ky = 0; ky < kernel; ky += height) {
      found.push_back({part, {ky, 1, std::min(height, kernel - ky)}, of, false});
    }
  };
  if (runs.size() == 1 && runs[0].in_step == 0) {
    const int64_t blocks = blocking.in_blocks(workload.in_channels);
    const int64_t ragged = blocks % blocking.in_subs();
    for (int64_t k = 0; k < all.count; k += schedule.in_groups) {
      const Groups part = {all.first + k, std::min(schedule.in_groups, all.count - k)};
      Run run = {0, channels.groups, 0, 0, part.count, 0};
      if (ragged && part.first + part.count == blocking.groups(workload.in_channels)) {
        --run.full;
        run.ragged = ragged;
      }
      add(part, {run});
    }
  } else {
    add(all, runs);
  }
  found.back().last = true;
  return found;
}

void ConvTiling::place_weights(const ChannelTile& channels, Chunk& chunk) {
  const int64_t subs = blocking.in_subs(), out_pitch = blocking.out_subs();
  const bool multi = workload.up.y > 1;
  if (multi && chunk.rows.count < workload.kernel.y) {
    throw Infeasible{"kernel_rows", "a transposed convolution takes all kernel rows at once"};
  }
  chunk.address = constants.add(0);
  for (const Run& run : chunk.runs) {
    for (int64_t py = 0; py < workload.up.y; ++py) {
      for (int64_t px = 0; px < workload.up.x; ++px) {
        const Piece::Taps columns = {0, 1, workload.kernel.x};
        const Piece::Taps y =
            multi ? phase_taps(axes.vertical, workload.dilation.y, py, chunk.rows) : chunk.rows;
        const Piece::Taps x =
            workload.up.x > 1 ? phase_taps(axes.horizontal, workload.dilation.x, px, columns)
                              : columns;
        const int64_t per_block = run.in_blocks(subs) * y.count * x.count;
        if (per_block == 0) continue;
        // Where every output group has inputs of its own, each is one piece.
        const int64_t pieces = run.in_step ? run.groups : 1;
        for (int64_t g = 0; g < pieces; ++g) {
          const int64_t out = channels.first + run.first + g;
          const int64_t in = chunk.inputs.first + run.in_first + g * run.in_step;
          const int64_t blocks = run.groups / pieces * channels.subs;
          constants.add({Piece::kWeights, out * out_pitch, blocks, in * subs,
                         run.in_blocks(subs), y, x}, blocks * per_block);
          chunk.tiles += blocks * per_block;
        }
      }
    }
  }
  chunk.bias = chunk.tiles;
  if (chunk.last) {
    const int64_t count = channels.blocks() * workload.bias_tiles;
    const Pair phases = workload.phases();
    for (int64_t phase = 0; phase < phases.y * phases.x; ++phase) {
      constants.add({Piece::kBias, channels.first * out_pitch, channels.blocks(), phase, 0, {}, {}},
                    count);
      chunk.tiles += count;
    }
  }
  wgt_slot = std::max(wgt_slot, chunk.tiles);
}

void ConvTiling::size_slots() {
  const Schedule& s = schedule;
  const int64_t subs = blocking.in_subs();
  int64_t blocks = 0, groups = 0, chunk_groups = 0;
  for (const ConvTile& tile : tiles) {
    blocks = std::max(blocks, tile.channels.blocks());
    groups = std::max(groups, tile.inputs.count);
    for (const Chunk& chunk : tile.chunks) {
      chunk_groups = std::max(chunk_groups, chunk.inputs.count);
    }
  }
  acc_slot = std::max<int64_t>(blocks * s.rows * s.cols, 4);
  if (!simple()) acc_slot += kScratch;
  int64_t tall = 0, wide = 0;
  for (const SpatialTile& tile : spatial) {
    const Window view = window(tile);
    tall = std::max(tall, view.rows());
    wide = std::max(wide, view.cols());
  }
  inp_slot = chunk_groups * tall * wide * subs;
  if (sliding()) {
    const int64_t rows = std::min(s.rows * s.strip, workload.out_height());
    strip_pitch = ((rows - 1) * row_stride + workload.reach().y) *
                  axes.horizontal.span(0, s.cols).count * subs;
    inp_slot = groups * strip_pitch;
  }
  int64_t extra_wgt = 0;
  if (residual()) {
    int64_t most = 0;
    for (const ConvTile& tile : tiles) most = std::max(most, tile.channels.groups);
    residual_slot = most * s.rows * s.cols * subs;
    extra_wgt = identity_count(blocking);
  }
  require_room("wgt_depth", s.wgt_slots * wgt_slot + extra_wgt,
               int64_t{1} << config.log_wgt_depth);
  require_room("acc_depth", (s.acc_slots + workload.multiply) * acc_slot + scalings(),
               int64_t{1} << config.log_acc_depth);
  require_room("inp_depth", s.inp_slots * inp_slot + s.acc_slots * residual_slot + 1,
               int64_t{1} << config.log_inp_depth);
  for (const SpatialTile& tile : spatial) require_loadable(window(tile));
}

std::vector<Phase> ConvTiling::vertical_phases(const SpatialTile& tile,
                                               const Piece::Taps& rows) const {
  return phases(axes.vertical, workload.dilation.y, row_stride, tile.y, tile.rows,
                axes.vertical.span(tile.y, tile.rows).first, rows);
}

std::vector<Phase> ConvTiling::horizontal_phases(const SpatialTile& tile) const {
  return phases(axes.horizontal, workload.dilation.x, workload.stride.x, tile.x, tile.cols,
                axes.horizontal.span(tile.x, tile.cols).first, {0, 1, workload.kernel.x});
}

}  // namespace codesign::units
