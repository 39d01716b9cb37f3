// Pooling units. Max: inputs enter ACC through identities, register MAX over the taps.
//
// Average: one GEMM with scaled identities whose reduction runs over the taps. Padding enters
// neither: each region of outputs with the same valid taps gets its own instructions.
#include <set>

#include "emit.h"
#include "infeasible.h"
#include "output.h"
#include "ring.h"

namespace codesign::units {
namespace {

constexpr int64_t kLowest = -128;

// Outputs [start, stop) along one axis whose windows have the valid taps [lo, hi).
struct TapRun {
  int64_t start, stop, lo, hi;
};

// Splits outputs start .. start + count by their valid taps.
std::vector<TapRun> tap_runs(const Axis& axis, int64_t start, int64_t count) {
  std::vector<TapRun> found;
  for (int64_t out = start; out < start + count; ++out) {
    const int64_t first = out * axis.stride - axis.before;
    const int64_t lo = std::max<int64_t>(0, -first);
    const int64_t hi = std::min(axis.reach, axis.extent - first);
    if (!found.empty() && found.back().lo == lo && found.back().hi == hi) {
      found.back().stop = out + 1;
    } else {
      found.push_back({out, out + 1, lo, hi});
    }
  }
  return found;
}

class PoolUnit {
 public:
  PoolUnit(Stream& stream, const Pool& workload, const Schedule& schedule, const Requant& numbers)
      : stream_(stream), w_(workload), s_(schedule), numbers_(numbers),
        config_(stream.config()), blocking_(Blocking::of(config_)), axes_(axes(workload)),
        source_(workload.sources()[0]), target_(workload.target()), constants_(config_),
        channels_(channel_tiles(workload.channels, schedule.out_groups, blocking_)) {
    if (w_.average) list_counts();
    identities_ = w_.average ? 0 : identity_count(blocking_);
    for (int64_t count : counts_) {
      weight_first_.push_back(identities_);
      identities_ += copies(count) * identity_count(blocking_);
    }
    weights_ = identities_ + static_cast<int64_t>(counts_.size()) * default_bias_tiles(config_);
  }

  Constants run() {
    size_slots();
    const int64_t weights = constants_.add(weights_);
    Ring ring(s_.inp_slots, inp_slot_);
    int64_t number = 0;
    for (const ChannelTile& part : channels_) {
      for (const SpatialTile& tile :
           spatial_tiles(target_.height, target_.width, s_.rows, s_.cols)) {
        const int64_t acc = number % s_.acc_slots * acc_slot_;
        const int64_t inp = ring.use(number).address;
        stream_.begin_step();
        if (number == 0) {
          stream_.load(kInp, kConstants, {stream_.unit_element(), constants_.unit_element(), 1});
          stream_.load(kWgt, kConstants, {0, weights, weights_});
        }
        const Window view = clipped_window(axes_, tile);
        const int64_t subs = blocking_.in_subs(), plane = view.rows() * view.cols() * subs;
        load_window(stream_, view, source_, {part.first, part.groups}, subs, kInput, inp, plane);
        stream_.reads(kInp, inp, inp + part.groups * plane);
        stream_.reads(kWgt, 0, weights_);
        if (w_.average) {
          average(part, tile, view, acc, inp);
          requantize(stream_, acc, part.blocks() * tile.pixels(), numbers_);
        } else {
          maximum(part, tile, view, acc, inp);
        }
        store_tile(stream_, acc, part, tile, target_);
        stream_.end_step();
        ++number;
      }
    }
    return constants_;
  }

 private:
  // Distinct numbers of valid taps under a window, ascending.
  void list_counts() {
    std::set<int64_t> counts;
    for (const TapRun& y : tap_runs(axes_.vertical, 0, target_.height)) {
      for (const TapRun& x : tap_runs(axes_.horizontal, 0, target_.width)) {
        counts.insert((y.hi - y.lo) * (x.hi - x.lo));
      }
    }
    counts_.assign(counts.begin(), counts.end());
  }

  // Scaled identities that share the multiplier of windows with `count` valid taps.
  int64_t copies(int64_t count) const {
    return ceil_div(w_.kernel.y * w_.kernel.x, std::max<int64_t>(1, count));
  }

  size_t index_of(int64_t count) const {
    return static_cast<size_t>(std::find(counts_.begin(), counts_.end(), count) - counts_.begin());
  }

  void size_slots() {
    if (!counts_.empty() && counts_[0] < 1) {
      throw Infeasible{"empty_window", "a window lies entirely in the padding"};
    }
    int64_t blocks = 0, groups = 0;
    for (const ChannelTile& part : channels_) {
      blocks = std::max(blocks, part.blocks()), groups = std::max(groups, part.groups);
    }
    const int64_t rows = axes_.vertical.span(0, std::min(s_.rows, target_.height)).count;
    const int64_t cols = axes_.horizontal.span(0, std::min(s_.cols, target_.width)).count;
    const int64_t pixels = std::min(rows, w_.height) * std::min(cols, w_.width);
    acc_slot_ = blocks * ((w_.average ? 0 : pixels) + s_.rows * s_.cols) + kScratch;
    inp_slot_ = groups * pixels * blocking_.in_subs();
    require_room("inp_depth", s_.inp_slots * inp_slot_ + 1, int64_t{1} << config_.log_inp_depth);
    require_room("acc_depth", s_.acc_slots * acc_slot_, int64_t{1} << config_.log_acc_depth);
    require_room("wgt_depth", weights_, int64_t{1} << config_.log_wgt_depth);
  }

  // Outputs start at -128; the window is copied behind them; MAX over each tap's rectangle.
  void maximum(const ChannelTile& part, const SpatialTile& tile, const Window& view, int64_t acc,
               int64_t inp) {
    const int64_t count = part.blocks() * tile.pixels(), pixels = view.rows() * view.cols();
    const int64_t copied = part.blocks() * pixels, source = acc + count;
    const int64_t subs = blocking_.in_subs();
    stream_.writes(acc, source + copied + kScratch);
    stream_.pre(reset(stream_, acc, count + copied + kScratch));
    stream_.pre(stream_.alu(kMin, *linear(count), acc, acc, kLowest));
    Dims dims = lane_dims(blocking_, part, pixels * part.subs, pixels * subs);
    dims.push_back({pixels, part.subs, subs});
    summed_gemm(stream_, dims, copied, source, inp, 0, source + copied);
    for (int64_t ky = 0; ky < w_.kernel.y; ++ky) {
      const auto [y0, y1] = valid_outputs(axes_.vertical, ky, tile.y, tile.rows);
      for (int64_t kx = 0; kx < w_.kernel.x; ++kx) {
        const auto [x0, x1] = valid_outputs(axes_.horizontal, kx, tile.x, tile.cols);
        if (y0 >= y1 || x0 >= x1) continue;
        const int64_t iy = y0 * w_.stride.y - w_.padding.top + ky - view.y;
        const int64_t ix = x0 * w_.stride.x - w_.padding.left + kx - view.x;
        const int64_t line = view.cols() * part.subs;
        const NestPtr nest =
            stream_.planned({{part.groups, tile.pixels() * part.subs, pixels * part.subs},
                             {y1 - y0, tile.cols * part.subs, w_.stride.y * line},
                             {x1 - x0, part.subs, w_.stride.x * part.subs},
                             {part.subs, 1, 1}});
        const int64_t dst = acc + ((y0 - tile.y) * tile.cols + x0 - tile.x) * part.subs;
        stream_.post(
            stream_.alu(kMax, *nest, dst, source + (iy * view.cols() + ix) * part.subs));
      }
    }
  }

  struct Outputs {
    int64_t first, end;
  };
  // Outputs of a tile for which `tap` reads inside the tensor.
  static Outputs valid_outputs(const Axis& axis, int64_t tap, int64_t start, int64_t count) {
    const int64_t first = ceil_div(axis.before - tap, axis.stride);
    const int64_t end = floor_div(axis.extent - 1 + axis.before - tap, axis.stride) + 1;
    return {std::max(start, first), std::min(start + count, end)};
  }

  // One GEMM per region of equal valid taps, and the region's bias.
  void average(const ChannelTile& part, const SpatialTile& tile, const Window& view, int64_t acc,
               int64_t inp) {
    const int64_t count = part.blocks() * tile.pixels();
    stream_.writes(acc, acc + count + kScratch);
    stream_.pre(reset(stream_, acc, count + kScratch));
    for (const TapRun& ys : tap_runs(axes_.vertical, tile.y, tile.rows)) {
      for (const TapRun& xs : tap_runs(axes_.horizontal, tile.x, tile.cols)) {
        region(part, tile, view, acc, inp, ys, xs);
      }
    }
  }

  void region(const ChannelTile& part, const SpatialTile& tile, const Window& view, int64_t acc,
              int64_t inp, const TapRun& ys, const TapRun& xs) {
    const int64_t subs = blocking_.in_subs(), line = view.cols() * subs;
    const int64_t height = ys.stop - ys.start, width = xs.stop - xs.start;
    const int64_t taps = (ys.hi - ys.lo) * (xs.hi - xs.lo);
    Dims dims = lane_dims(blocking_, part, tile.pixels() * part.subs, view.rows() * line);
    dims.push_back({height, tile.cols * part.subs, w_.stride.y * line});
    dims.push_back({width, part.subs, w_.stride.x * subs});
    Dims flat;
    for (const Dim& d : dims) {
      if (d.dst) flat.push_back({d.extent, d.dst});
    }
    dims.push_back({ys.hi - ys.lo, 0, line});
    dims.push_back({xs.hi - xs.lo, 0, subs});
    dims.push_back({copies(taps), 0, 0, identity_count(blocking_)});
    const int64_t dst = acc + ((ys.start - tile.y) * tile.cols + xs.start - tile.x) * part.subs;
    const int64_t iy = ys.start * w_.stride.y - w_.padding.top + ys.lo - view.y;
    const int64_t ix = xs.start * w_.stride.x - w_.padding.left + xs.lo - view.x;
    const int64_t count = part.blocks() * height * width;
    summed_gemm(stream_, dims, count, dst, inp + iy * line + ix * subs,
                weight_first_[index_of(taps)], acc + part.blocks() * tile.pixels());
    const int64_t tiles = default_bias_tiles(config_);
    add_bias(stream_, flat, dst, identities_ + static_cast<int64_t>(index_of(taps)) * tiles,
             tiles);
  }

  Stream& stream_;
  const Pool& w_;
  const Schedule& s_;
  const Requant& numbers_;
  const Config& config_;
  const Blocking blocking_;
  const Axes axes_;
  const TensorLayout source_, target_;
  Constants constants_;
  const std::vector<ChannelTile> channels_;
  std::vector<int64_t> counts_;        // distinct numbers of valid taps (average)
  std::vector<int64_t> weight_first_;  // first identity tile of each; biases follow all identities
  int64_t identities_ = 0, weights_ = 0, acc_slot_ = 0, inp_slot_ = 0;
};

}  // namespace

Constants emit(Stream& stream, const Pool& workload, const Schedule& schedule,
               const Requant& numbers) {
  return PoolUnit(stream, workload, schedule, numbers).run();
}

}  // namespace codesign::units
