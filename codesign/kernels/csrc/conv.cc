// Convolution and dense units: a tiled GEMM with a fused bias and requantisation.
#include <cmath>
#include <optional>

#include "conv_tiling.h"
#include "emit.h"
#include "output.h"
#include "ring.h"

namespace codesign::units {
namespace {

class ConvUnit {
 public:
  ConvUnit(Stream& stream, const Conv& workload, const Schedule& schedule, const Requant& numbers)
      : stream_(stream), tiling_(workload, stream.config(), schedule), numbers_(numbers),
        subs_(tiling_.blocking.in_subs()), inp_ring_(schedule.inp_slots, tiling_.inp_slot),
        wgt_ring_(schedule.wgt_slots, tiling_.wgt_slot),
        residual_ring_(schedule.acc_slots, tiling_.residual_slot,
                       schedule.inp_slots * tiling_.inp_slot),
        identity_(schedule.wgt_slots * tiling_.wgt_slot),
        copy_(schedule.acc_slots * tiling_.acc_slot), scaling_(copy_ + tiling_.acc_slot) {}

  Constants run() {
    const bool co_major = tiling_.schedule.co_major;
    if (tiling_.workload.multiply) {
      stream_.load_accumulators(kConstants, {scaling_, tiling_.scaling, tiling_.scalings()});
    }
    if (co_major) {
      for (size_t c = 0; c < tiling_.tiles.size(); ++c) {
        each_tile([&](const Place& place) { tile(c, place); });
      }
    } else {
      each_tile([&](const Place& place) {
        for (size_t c = 0; c < tiling_.tiles.size(); ++c) tile(c, place);
      });
    }
    return tiling_.constants;
  }

 private:
  // A spatial tile, and where it lies in its strip of vertically adjacent tiles.
  struct Place {
    int64_t number, strip, position;
    SpatialTile tile;
    Window view;
  };
  struct Addresses {
    int64_t acc, inp, wgt, pitch;
  };

  template <class Visit>
  void each_tile(const Visit& visit) {
    Place place{};
    int64_t x = 0;
    for (const SpatialTile& tile : tiling_.spatial) {
      const bool full = place.position == tiling_.schedule.strip || tile.x != x;
      if (place.number > 0 && full) ++place.strip, place.position = 0;
      place.tile = tile, place.view = tiling_.window(tile), x = tile.x;
      visit(place);
      ++place.number, ++place.position;
    }
  }

  // All reduction chunks of one output tile.
  void tile(size_t c, const Place& place) {
    const ConvTile& part = tiling_.tiles[c];
    const ChannelTile& channels = part.channels;
    const Schedule& s = tiling_.schedule;
    const int64_t number = tiles_done_++, acc = number % s.acc_slots * tiling_.acc_slot;
    const int64_t count = channels.blocks() * place.tile.pixels();
    const int64_t partials = tiling_.simple() ? partial_sums(count) : 1;
    // A residual enters with the last chunk, which then has to be the last one.
    const bool reverse = s.alternate && number % 2 && !tiling_.residual();
    const size_t n = part.chunks.size();
    for (size_t i = 0; i < n; ++i) {
      const size_t k = reverse ? n - 1 - i : i;
      const Chunk& chunk = part.chunks[k];
      const bool first = i == 0;
      stream_.begin_step();
      Addresses at = {acc, 0, 0, 0};
      load_inputs(c, part, chunk, place, first, &at);
      const bool residual = chunk.last && tiling_.residual();
      const int64_t other = residual ? load_residual(number, channels, place.tile) : 0;
      const Ring::Slot weights = weight_slot(c, static_cast<int64_t>(k));
      at.wgt = weights.address;
      if (first) {
        stream_.writes(acc, acc + tiling_.acc_slot);
        if (tiling_.workload.multiply) stream_.writes(copy_, scaling_);
      }
      const bool head = weights.missing && number == 0 && first;
      const int64_t parts = head ? head_parts(part, chunk, count) : 1;
      const int64_t step = ceil_div(channels.groups, parts);
      for (int64_t g = 0; g < channels.groups; g += step) {
        if (g > 0) stream_.next_step();
        const Groups groups = {g, std::min(step, channels.groups - g)};
        use_weights(channels, chunk, groups, at.wgt, weights.missing);
        if (first && g == 0) stream_.pre(reset(stream_, acc, count * partials));
        gemms(channels, chunk, groups, place, at);
      }
      if (residual) add_residual(channels, place.tile, acc, other);
      const bool late = i == n - 1;
      if (chunk.last && !late) {
        add_bias({channels, place.tile, acc, 0}, at.wgt + chunk.bias, channels.blocks());
      }
      if (late) {
        const std::optional<int64_t> bias = chunk.last ? std::optional(at.wgt + chunk.bias)
                                                       : std::nullopt;
        finish(channels, place.tile, acc, partials, bias);
      }
      stream_.end_step();
    }
  }

  // In how many parts, by output groups, the first weights come, so that computing starts early.
  int64_t head_parts(const ConvTile& part, const Chunk& chunk, int64_t count) const {
    constexpr double kPartCycles = 40;  // of one more LOAD and GEMM
    const Config& config = tiling_.config;
    const bool up = tiling_.workload.up.y * tiling_.workload.up.x > 1;
    if (up || chunk.runs.size() > 1 || !tiling_.schedule.split) return 1;
    const int64_t cycles = chunk.tiles * element_bytes(config, kWgt) / config.bus_bytes();
    const int64_t reductions = chunk.bias / part.channels.blocks();
    if (count * reductions < cycles) return 1;  // the unit's loads are what takes longest
    const int64_t parts = std::llround(std::sqrt(static_cast<double>(cycles) / kPartCycles));
    return std::max<int64_t>(1, std::min({parts, part.channels.groups, count / 16}));
  }

  Ring::Slot weight_slot(size_t c, int64_t k) {
    constexpr int64_t kMostChunks = int64_t{1} << 32;
    return wgt_ring_.use(static_cast<int64_t>(c) * kMostChunks + k);
  }

  // Weights of the chunk's output groups; biases come with the last.
  void use_weights(const ChannelTile& channels, const Chunk& chunk, const Groups& groups,
                   int64_t wgt, bool missing) {
    const int64_t each = chunk.bias / channels.groups, begin = groups.first * each;
    const bool all = groups.first + groups.count == channels.groups;
    const int64_t end = all ? chunk.tiles : begin + groups.count * each;
    if (missing) stream_.load(kWgt, kConstants, {wgt + begin, chunk.address + begin, end - begin});
    stream_.reads(kWgt, wgt + begin, wgt + end);
  }

  void load_inputs(size_t c, const ConvTile& part, const Chunk& chunk, const Place& place,
                   bool first, Addresses* at) {
    const Window& view = place.view;
    if (tiling_.sliding()) return slide(c, part, chunk, place, first, at);
    at->pitch = view.rows() * view.cols() * subs_;
    // Chunks of one tile differ in their input groups, or share them.
    const int64_t most = tiling_.blocking.groups(tiling_.workload.in_channels) + 1;
    const int64_t key = (place.number * most + chunk.inputs.first) * most + chunk.inputs.count;
    const auto [address, missing] = inp_ring_.use(key);
    at->inp = address;
    if (missing) {
      load_window(stream_, view, tiling_.source, chunk.inputs, subs_, kInput, at->inp, at->pitch);
    }
    stream_.reads(kInp, at->inp, at->inp + chunk.inputs.count * at->pitch);
  }

  // Brings in the tile of the tensor that is added; INP address.
  int64_t load_residual(int64_t number, const ChannelTile& channels, const SpatialTile& tile) {
    const TensorLayout layout = tiling_.workload.sources()[1];
    const int64_t inp = residual_ring_.use(number).address, plane = tile.pixels() * subs_;
    if (number == 0) {
      stream_.load(kWgt, kConstants,
                   {identity_, tiling_.identity, identity_count(tiling_.blocking)});
    }
    load_window(stream_, {tile.y, tile.x, tile.rows, tile.cols, {}}, layout,
                {channels.first, channels.groups}, subs_, kInput + 1, inp, plane);
    stream_.reads(kInp, inp, inp + channels.groups * plane);
    stream_.reads(kWgt, identity_, identity_ + identity_count(tiling_.blocking));
    return inp;
  }

  // SHR of the sums so far, then the residual through scaled identities.
  void add_residual(const ChannelTile& channels, const SpatialTile& tile, int64_t acc,
                    int64_t inp) {
    const int64_t count = channels.blocks() * tile.pixels();
    stream_.main(stream_.alu(kShr, *linear(count), acc, acc, numbers_.pre_shift));
    Dims dims = lane_dims(tiling_.blocking, channels, tile.pixels() * channels.subs,
                          tile.pixels() * subs_);
    dims.push_back({tile.pixels(), channels.subs, subs_});
    summed_gemm(stream_, dims, count, acc, inp, identity_, acc + count);
  }

  // Row stationary: brings in the rows that the tile above in its strip has not.
  void slide(size_t c, const ConvTile& part, const Chunk& chunk, const Place& place, bool first,
             Addresses* at) {
    const Schedule& s = tiling_.schedule;
    const Window& view = place.view;
    const int64_t strips = tiling_.workload.out_height() * tiling_.workload.out_width();
    const int64_t number = s.co_major ? static_cast<int64_t>(c) : 0;
    const int64_t base = inp_ring_.use(number * strips + place.strip).address;
    const int64_t line = view.cols() * subs_;
    const int64_t start = place.position * s.rows * tiling_.row_stride;
    at->pitch = tiling_.strip_pitch;
    if (first && (s.co_major || c == 0)) {
      int64_t old = 0;
      if (place.position > 0) {
        old = std::max<int64_t>(0, tiling_.workload.reach().y - tiling_.row_stride);
        // Where only padding is new, one row of data comes again.
        old = std::min(old, view.pads.top + view.valid_rows - 1);
      }
      load_window(stream_, view.without_top(old), tiling_.source, part.inputs, subs_, kInput,
                  base + (start + old) * line, at->pitch);
    }
    const int64_t group = chunk.inputs.first - part.inputs.first;
    at->inp = base + start * line + group * at->pitch;
    for (int64_t g = 0; g < chunk.inputs.count; ++g) {
      const int64_t begin = at->inp + g * at->pitch;
      stream_.reads(kInp, begin, begin + view.rows() * line);
    }
  }

  // GEMMs of one (output tile, chunk) for some of the tile's output groups.
  void gemms(const ChannelTile& channels, const Chunk& chunk, const Groups& groups,
             const Place& place, Addresses at) {
    const auto rows = tiling_.vertical_phases(place.tile, chunk.rows);
    const auto cols = tiling_.horizontal_phases(place.tile);
    for (const Run& run : chunk.runs) {
      const int64_t skip = std::max<int64_t>(0, groups.first - run.first);
      const int64_t end = std::min(run.first + run.groups, groups.first + groups.count);
      Run some = run;
      some.first += skip, some.groups = end - some.first, some.in_first += skip * run.in_step;
      for (const Phase& y : rows) {
        for (const Phase& x : cols) {
          const int64_t taps = y.taps.count * x.taps.count;
          const int64_t each = channels.subs * run.in_blocks(subs_) * taps;
          Addresses from = at;
          from.wgt += skip * each;
          if (some.groups > 0 && y.count > 0 && x.count > 0 && taps > 0) {
            gemm(channels, some, place, y, x, from);
          }
          at.wgt += run.groups * each;
        }
      }
    }
  }

  void gemm(const ChannelTile& channels, const Run& run, const Place& place, const Phase& y,
            const Phase& x, const Addresses& at) {
    const int64_t subs = channels.subs, taps = y.taps.count * x.taps.count;
    const int64_t line = place.view.cols() * subs_, cols = place.tile.cols;
    const int64_t reductions = run.in_blocks(subs_) * taps;
    const Dims outputs = {
        {run.groups, place.tile.pixels() * subs, run.in_step * at.pitch, subs * reductions},
        {subs, 1, 0, reductions},
        {y.count, y.out_step * cols * subs, y.in_step * line},
        {x.count, x.out_step * subs, x.in_step * subs_}};
    const Dims kernel = {{y.taps.count, 0, y.tap_step * line, x.taps.count},
                         {x.taps.count, 0, x.tap_step * subs_, 1}};
    const int64_t acc = at.acc + run.first * place.tile.pixels() * subs +
                        (y.out0 * cols + x.out0) * subs;
    const int64_t inp = at.inp + run.in_first * at.pitch + y.in0 * line + x.in0 * subs_;
    const auto add = [&](int64_t src, int64_t wgt, const Dims& blocks) {
      Dims dims = outputs;
      dims.insert(dims.end(), blocks.begin(), blocks.end());
      dims.insert(dims.end(), kernel.begin(), kernel.end());
      multiply(dims, run.groups * subs * y.count * x.count, at.acc, acc, inp + src, at.wgt + wgt,
               channels.blocks() * place.tile.pixels());
    };
    if (run.full) add(0, 0, {{run.full, 0, at.pitch, subs_ * taps}, {subs_, 0, 1, taps}});
    if (run.ragged) {
      add(run.full * at.pitch, run.full * subs_ * taps, {{run.ragged, 0, 1, taps}});
    }
  }

  // `count` outputs at `acc` of a slot at `slot` with `all` outputs.
  void multiply(const Dims& dims, int64_t count, int64_t slot, int64_t acc, int64_t inp,
                int64_t wgt, int64_t all) {
    if (!tiling_.simple()) return summed_gemm(stream_, dims, count, acc, inp, wgt, slot + all);
    const NestPtr nest = partial_sums(count) > 1
                             ? stream_.require(plan_partial(dims, count, count, stream_.max_uops()))
                             : stream_.planned(dims);
    stream_.main(stream_.gemm(nest, acc, inp, wgt));
  }

  // Bias (where its tiles are still to be added), epilogue and stores of a complete tile; partial
  // sums are added first.
  void finish(const ChannelTile& channels, const SpatialTile& tile, int64_t acc, int64_t partials,
              std::optional<int64_t> bias) {
    const int64_t count = channels.blocks() * tile.pixels();
    const Schedule& s = tiling_.schedule;
    const int64_t all = static_cast<int64_t>(tiling_.tiles.size() * tiling_.spatial.size());
    const bool hidden = (s.acc_slots > 1 && tiles_done_ < all) || partials > 1 || !s.split;
    const int64_t each = channels.subs * tiling_.workload.bias_tiles;
    bool separate = !stream_.has_unit_element();
    for (const OutputPart& part : output_parts(tiling_.config, channels, tile, acc, hidden)) {
      if (separate) {
        stream_.end_step();
        stream_.begin_step();
      }
      separate = true;
      if (bias) {
        stream_.load(kInp, kConstants,
                     {stream_.unit_element(), tiling_.constants.unit_element(), 1});
        const Pair phases = tiling_.workload.phases();
        const int64_t wgt = *bias + part.group * each;
        add_bias(part, wgt, channels.blocks());
        stream_.reads(kWgt, wgt, wgt + (phases.y * phases.x - 1) * channels.groups * each +
                                     part.channels.groups * each);
      }
      for (int64_t p = 1; p < partials; ++p) {
        stream_.post(stream_.alu(kAdd, *linear(count), acc, acc + p * count));
      }
      requantize(part);
    }
  }

  // `blocks`: output blocks whose biases of one phase follow one another.
  void add_bias(const OutputPart& part, int64_t wgt, int64_t blocks) {
    const SpatialTile& tile = part.tile;
    const int64_t tiles = tiling_.workload.bias_tiles, subs = part.channels.subs;
    const Pair phases = tiling_.workload.phases();
    const Dims lanes = {{part.channels.groups, tile.pixels() * subs, 0, subs * tiles},
                        {subs, 1, 0, tiles}};
    for (int64_t py = 0; py < phases.y; ++py) {
      for (int64_t px = 0; px < phases.x; ++px) {
        // The part's first output of this phase.
        const int64_t y = py - tile.y - floor_div(py - tile.y, phases.y) * phases.y;
        const int64_t x = px - tile.x - floor_div(px - tile.x, phases.x) * phases.x;
        if (y >= tile.rows || x >= tile.cols) continue;
        Dims dims = lanes;
        dims.push_back({ceil_div(tile.rows - y, phases.y), phases.y * tile.cols * subs});
        dims.push_back({ceil_div(tile.cols - x, phases.x), phases.x * subs});
        units::add_bias(stream_, dims, part.acc + (y * tile.cols + x) * subs,
                        wgt + (py * phases.x + px) * blocks * tiles, tiles);
      }
    }
  }

  void requantize(const OutputPart& part) {
    if (tiling_.workload.multiply) {
      const int64_t first = part.channels.first * tiling_.blocking.out_subs();
      multiply_requantize(stream_, part.acc, part.channels, part.tile.pixels(), scaling_ + first,
                          tiling_.scalings() / kScalingRows, copy_, numbers_);
    } else {
      units::requantize(stream_, part.acc, part.channels.blocks() * part.tile.pixels(), numbers_);
    }
    store_tile(stream_, part.acc, part.channels, part.tile, tiling_.target);
  }

  Stream& stream_;
  const ConvTiling tiling_;
  const Requant& numbers_;
  int64_t subs_;  // INP elements of one pixel of one group
  Ring inp_ring_, wgt_ring_, residual_ring_;
  int64_t identity_;     // WGT address of the residual's identity
  int64_t copy_;         // ACC address of a slot for a part of a product
  int64_t scaling_;      // ACC address
  int64_t tiles_done_ = 0;
};

}  // namespace

Constants emit(Stream& stream, const Conv& workload, const Schedule& schedule,
               const Requant& numbers) {
  return ConvUnit(stream, workload, schedule, numbers).run();
}

}  // namespace codesign::units
