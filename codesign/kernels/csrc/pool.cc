// Average pooling: one GEMM with scaled identities whose reduction runs over the taps, several where
// a window comes in parts. Padding does not enter: each region of outputs with the same valid taps
// gets its own instructions.
#include "pool.h"

#include <set>

#include "emit.h"
#include "infeasible.h"
#include "output.h"
#include "ring.h"

namespace codesign::units {

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

Axes window_rows(const Axes& axes, int64_t first, int64_t reach) {
  Axes part = axes;
  part.vertical.before -= first;
  part.vertical.reach = std::min(reach, axes.vertical.reach - first);
  return part;
}

int64_t window_pixels(const Axes& axes, int64_t rows, int64_t cols) {
  return std::min(axes.vertical.span(0, rows).count, axes.vertical.extent) *
         std::min(axes.horizontal.span(0, cols).count, axes.horizontal.extent);
}

namespace {

class AveragePool {
 public:
  AveragePool(Stream& stream, const Pool& workload, const Schedule& schedule,
              const Requant& numbers)
      : stream_(stream), w_(workload), s_(schedule), numbers_(numbers),
        config_(stream.config()), blocking_(Blocking::of(config_)), axes_(axes(workload)),
        source_(workload.sources()[0]), target_(workload.target()), constants_(config_),
        channels_(channel_tiles(workload.channels, schedule.out_groups, blocking_)),
        kernel_rows_(schedule.kernel_rows ? schedule.kernel_rows : workload.kernel.y) {
    list_counts();
    for (int64_t count : counts_) {
      weight_first_.push_back(identities_);
      identities_ += copies(count) * identity_count(blocking_);
    }
    weights_ = w_.digits * identities_ + (w_.digits > 1 ? 2 : 1) * biases();
  }

  Constants run() {
    size_slots();
    const int64_t weights = constants_.add(weights_);
    Ring ring(s_.inp_slots, inp_slot_);
    const auto spatial = spatial_tiles(target_.height, target_.width, s_.rows, s_.cols);
    const auto tiles = static_cast<int64_t>(channels_.size() * spatial.size());
    int64_t number = 0, step = 0;
    for (const ChannelTile& part : channels_) {
      for (const SpatialTile& tile : spatial) {
        const int64_t acc = number++ % s_.acc_slots * acc_slot_;
        const int64_t count = part.blocks() * tile.pixels();
        for (int64_t row = 0; row < w_.kernel.y; row += kernel_rows_) {
          const int64_t inp = ring.use(step).address;
          stream_.begin_step();
          if (step++ == 0) {
            stream_.load(kInp, kConstants,
                         {stream_.unit_element(), constants_.unit_element(), 1});
            stream_.load(kWgt, kConstants, {0, weights, weights_});
          }
          const Window view = clipped_window(window_rows(axes_, row, kernel_rows_), tile);
          const int64_t subs = blocking_.in_subs(), plane = view.rows() * view.cols() * subs;
          if (view.rows() > 0) {
            load_window(stream_, view, source_, {part.first, part.groups}, subs, kInput, inp,
                        plane);
            stream_.reads(kInp, inp, inp + part.groups * plane);
          }
          const bool last = row + kernel_rows_ >= w_.kernel.y;
          if (last || view.rows() > 0) stream_.reads(kWgt, 0, weights_);
          stream_.writes(acc, acc + count + kScratch);
          if (row == 0) stream_.pre(reset(stream_, acc, count + kScratch));
          for (int64_t digit = 0; digit < w_.digits; ++digit) {
            if (digit > 0) next_digit(stream_, acc, count);
            average(part, tile, view, row, acc, inp, digit);
          }
          if (last) finish(part, tile, acc, (s_.acc_slots > 1 && number < tiles) || !s_.split);
          stream_.end_step();
        }
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
    if (w_.digits > 1) return 1;
    return ceil_div(w_.kernel.y * w_.kernel.x, std::max<int64_t>(1, count));
  }

  int64_t biases() const {
    return static_cast<int64_t>(counts_.size()) * default_bias_tiles(config_);
  }

  size_t index_of(int64_t count) const {
    return static_cast<size_t>(std::find(counts_.begin(), counts_.end(), count) - counts_.begin());
  }

  void size_slots() {
    if (counts_[0] < 1) {
      throw Infeasible{"empty_window", "a window lies entirely in the padding"};
    }
    if (w_.digits > 1 && kernel_rows_ < w_.kernel.y) {
      throw Infeasible{"kernel_rows", "multipliers of several digits take all window rows at once"};
    }
    int64_t blocks = 0, groups = 0;
    for (const ChannelTile& part : channels_) {
      blocks = std::max(blocks, part.blocks()), groups = std::max(groups, part.groups);
    }
    const int64_t pixels = window_pixels(window_rows(axes_, 0, kernel_rows_),
                                         std::min(s_.rows, target_.height),
                                         std::min(s_.cols, target_.width));
    acc_slot_ = blocks * s_.rows * s_.cols + kScratch;
    inp_slot_ = groups * pixels * blocking_.in_subs();
    require_room("inp_depth", s_.inp_slots * inp_slot_ + 1, int64_t{1} << config_.log_inp_depth);
    require_room("acc_depth", s_.acc_slots * acc_slot_, int64_t{1} << config_.log_acc_depth);
    require_room("wgt_depth", weights_, int64_t{1} << config_.log_wgt_depth);
  }

  // Requantisation and stores of a complete average.
  void finish(const ChannelTile& part, const SpatialTile& tile, int64_t acc, bool hidden) {
    bool separate = false;
    for (const OutputPart& some : output_parts(config_, part, tile, acc, hidden)) {
      if (separate) stream_.next_step();
      separate = true;
      requantize(stream_, some.acc, some.channels.blocks() * some.tile.pixels(), numbers_);
      store_tile(stream_, some.acc, some.channels, some.tile, target_);
    }
  }

  // Window rows from `row` on, one digit of the multipliers: a GEMM per region of equal valid taps;
  // the last rows bring the region's bias, in two parts with the first and the last of digits.
  void average(const ChannelTile& part, const SpatialTile& tile, const Window& view, int64_t row,
               int64_t acc, int64_t inp, int64_t digit) {
    const bool lowest = digit + 1 == w_.digits;
    const bool last = row + kernel_rows_ >= w_.kernel.y && (digit == 0 || lowest);
    for (const TapRun& ys : tap_runs(axes_.vertical, tile.y, tile.rows)) {
      const int64_t lo = std::max(ys.lo, row), hi = std::min(ys.hi, row + kernel_rows_);
      for (const TapRun& xs : tap_runs(axes_.horizontal, tile.x, tile.cols)) {
        const int64_t taps = (ys.hi - ys.lo) * (xs.hi - xs.lo);
        const int64_t height = ys.stop - ys.start, width = xs.stop - xs.start;
        const int64_t dst =
            acc + ((ys.start - tile.y) * tile.cols + xs.start - tile.x) * part.subs;
        const Dims outputs = {{part.groups, tile.pixels() * part.subs},
                              {part.subs, 1},
                              {height, tile.cols * part.subs},
                              {width, part.subs}};
        if (lo < hi) {
          const int64_t wgt = weight_first_[index_of(taps)] + digit * identities_;
          sum(part, tile, view, {ys.start, ys.stop, lo, hi}, xs, taps, dst, acc, inp, wgt);
        }
        const int64_t tiles = default_bias_tiles(config_);
        const int64_t first = lowest ? weights_ - biases() : w_.digits * identities_;
        const int64_t bias = first + static_cast<int64_t>(index_of(taps)) * tiles;
        if (last) add_bias(stream_, outputs, dst, bias, tiles);
      }
    }
  }

  // Taps [ys.lo, ys.hi) x [xs.lo, xs.hi) of a region, with the identities of `taps` valid ones.
  void sum(const ChannelTile& part, const SpatialTile& tile, const Window& view, const TapRun& ys,
           const TapRun& xs, int64_t taps, int64_t dst, int64_t acc, int64_t inp, int64_t wgt) {
    const int64_t subs = blocking_.in_subs(), line = view.cols() * subs;
    const int64_t height = ys.stop - ys.start, width = xs.stop - xs.start;
    Dims dims = lane_dims(blocking_, part, tile.pixels() * part.subs, view.rows() * line);
    dims.push_back({height, tile.cols * part.subs, w_.stride.y * line});
    dims.push_back({width, part.subs, w_.stride.x * subs});
    dims.push_back({ys.hi - ys.lo, 0, line});
    dims.push_back({xs.hi - xs.lo, 0, subs});
    dims.push_back({copies(taps), 0, 0, identity_count(blocking_)});
    const int64_t iy = ys.start * w_.stride.y - w_.padding.top + ys.lo - view.y;
    const int64_t ix = xs.start * w_.stride.x - w_.padding.left + xs.lo - view.x;
    summed_gemm(stream_, dims, part.blocks() * height * width, dst, inp + iy * line + ix * subs,
                wgt, acc + part.blocks() * tile.pixels());
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
  const int64_t kernel_rows_;
  std::vector<int64_t> counts_;        // distinct numbers of valid taps
  std::vector<int64_t> weight_first_;  // first identity tile of each; biases follow all identities
  int64_t identities_ = 0, weights_ = 0, acc_slot_ = 0, inp_slot_ = 0;
};

}  // namespace

Constants emit(Stream& stream, const Pool& workload, const Schedule& schedule,
               const Requant& numbers) {
  if (!workload.average) return emit_max_pool(stream, workload, schedule);
  return AveragePool(stream, workload, schedule, numbers).run();
}

}  // namespace codesign::units
