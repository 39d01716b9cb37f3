// Max pooling. Two ways to take a maximum in the accumulators:
//
//  * register MAX of two accumulators: 2 cycles, both must be there;
//  * max(a, x) = max(a - x, 0) + x with x from INP: GEMM by a negative identity, MAX with 0, GEMM by
//    an identity: 3 cycles, x needs no accumulator.
//
// The window is taken along x, then along y, in one of three forms (`Form`). Pixels outside the
// tensor count as -128.
#include "infeasible.h"
#include "output.h"
#include "pool.h"
#include "ring.h"

namespace codesign::units {
namespace {

constexpr int64_t kLowest = -128;

// kCopied: all inputs are copied, maxima along both axes are registers. kRows: an accumulator for
// each input row and output column takes its taps from INP, maxima along y are registers. kTaps: an
// output takes all its taps from INP.
enum class Form { kCopied, kRows, kTaps };

// Register maxima of `count` neighbours `stride` apart, as many as every stride-th needs.
int64_t maxima(int64_t count, int64_t stride) {
  const int64_t own = ceil_div(count, stride);
  int64_t steps = 0;
  for (int64_t have = 1; have < own; have += std::min(have, own - have)) ++steps;
  return steps + count - own;
}

// By COMPUTE cycles an output; codesign/kernels/pool.py: max_form.
Form form_of(const Pool& w, int64_t kernel_rows, int64_t in_subs) {
  const Pair k = w.kernel, s = w.stride;
  if (s.x == 1 || kernel_rows < k.y) return Form::kCopied;
  const int64_t copy = 1 + in_subs, tap = 1 + 2 * in_subs;
  const int64_t after = 2 * maxima(k.y, s.y);
  const int64_t copied = s.y * (s.x * copy + 2 * maxima(k.x, s.x)) + 3;
  const int64_t rows = s.y * (copy + (k.x - 1) * tap), taps = copy + (k.y * k.x - 1) * tap;
  if (taps <= std::min(copied, rows) + after) return Form::kTaps;
  return rows <= copied ? Form::kRows : Form::kCopied;
}

// Accumulators [group][row][col][sub] from `base` on.
struct Area {
  int64_t base, rows, cols, subs;

  int64_t row() const { return cols * subs; }
  int64_t group() const { return rows * row(); }
};

struct Span {
  int64_t first, end;
  int64_t count() const { return end - first; }
};

class MaxPool {
 public:
  MaxPool(Stream& stream, const Pool& workload, const Schedule& schedule)
      : stream_(stream), w_(workload), s_(schedule), config_(stream.config()),
        blocking_(Blocking::of(config_)), axes_(axes(workload)),
        source_(workload.sources()[0]), target_(workload.target()), constants_(config_),
        channels_(channel_tiles(workload.channels, schedule.out_groups, blocking_)),
        kernel_rows_(schedule.kernel_rows ? std::min(schedule.kernel_rows, workload.kernel.y)
                                          : workload.kernel.y),
        form_(form_of(workload, kernel_rows_, blocking_.in_subs())),
        gathered_(form_ == Form::kCopied && (w_.stride.x > 1 || parts())),
        identities_(identity_count(blocking_)) {}

  Constants run() {
    size_slots();
    const int64_t weights = constants_.add(2 * identities_);
    Ring ring(s_.inp_slots, inp_slot_);
    int64_t number = 0, step = 0;
    for (const ChannelTile& part : channels_) {
      for (const SpatialTile& tile :
           spatial_tiles(target_.height, target_.width, s_.rows, s_.cols)) {
        part_ = part, tile_ = tile;
        const int64_t acc = number++ % s_.acc_slots * acc_slot_;
        for (int64_t row = 0; row < w_.kernel.y; row += kernel_rows_) {
          inp_ = ring.use(step).address;
          stream_.begin_step();
          if (step++ == 0) {
            stream_.load(kInp, kConstants,
                         {stream_.unit_element(), constants_.unit_element(), 1});
            stream_.load(kWgt, kConstants, {0, weights, 2 * identities_});
          }
          take_rows(row, acc);
          stream_.end_step();
        }
      }
    }
    return constants_;
  }

 private:
  void size_slots() {
    int64_t blocks = 0, groups = 0;
    for (const ChannelTile& part : channels_) {
      blocks = std::max(blocks, part.blocks()), groups = std::max(groups, part.groups);
    }
    const int64_t rows = std::min(s_.rows, target_.height);
    const int64_t cols = std::min(s_.cols, target_.width);
    const int64_t pixels = window_pixels(window_rows(axes_, 0, kernel_rows_), rows, cols);
    inp_slot_ = groups * pixels * blocking_.in_subs();
    acc_slot_ = blocks * ((gathered_ ? rows * cols : 0) + high(rows) * wide(cols)) + kScratch;
    require_room("inp_depth", s_.inp_slots * inp_slot_ + 1, int64_t{1} << config_.log_inp_depth);
    require_room("acc_depth", s_.acc_slots * acc_slot_, int64_t{1} << config_.log_acc_depth);
    require_room("wgt_depth", 2 * identities_, int64_t{1} << config_.log_wgt_depth);
  }

  // Whether a window comes in several steps.
  bool parts() const { return kernel_rows_ < w_.kernel.y; }

  // Rows and columns of the area in which maxima form.
  int64_t high(int64_t rows) const {
    return form_ == Form::kTaps ? rows : (rows - 1) * w_.stride.y + kernel_rows_;
  }
  int64_t wide(int64_t cols) const {
    return form_ == Form::kCopied ? (cols - 1) * w_.stride.x + w_.kernel.x : cols;
  }

  // Window rows from `row` on of the current tile; the last complete and store it.
  void take_rows(int64_t row, int64_t acc) {
    const Axes part = window_rows(axes_, row, kernel_rows_);
    view_ = clipped_window(part, tile_);
    const int64_t subs = blocking_.in_subs(), plane = view_.rows() * view_.cols() * subs;
    const bool any = view_.rows() > 0 && view_.cols() > 0;
    if (any) {
      load_window(stream_, view_, source_, {part_.first, part_.groups}, subs, kInput, inp_,
                  plane);
      stream_.reads(kInp, inp_, inp_ + part_.groups * plane);
      stream_.reads(kWgt, 0, 2 * identities_);
    }
    const Area out = {acc, tile_.rows, tile_.cols, part_.subs};
    const int64_t kept = gathered_ ? part_.groups * out.group() : 0;
    area_ = {acc + kept, high(tile_.rows), wide(tile_.cols), part_.subs};
    scratch_ = area_.base + part_.groups * area_.group();
    // Position of the area's first row and column in the tensor.
    y_ = part.vertical.span(tile_.y, 1).first, x_ = part.horizontal.span(tile_.x, 1).first;
    stream_.writes(acc, scratch_ + kScratch);
    if (gathered_ && row == 0) {
      stream_.pre(reset(stream_, acc, kept));
      if (parts()) lowest(out, {0, out.rows}, {0, out.cols});
    }
    if (any) {
      stream_.pre(reset(stream_, area_.base, scratch_ + kScratch - area_.base));
      fill();
      if (form_ == Form::kCopied) along_x({view_.y - y_, view_.y - y_ + view_.rows()});
      if (form_ != Form::kTaps) along_y(part.vertical.reach);
      if (gathered_) gather(out);
    }
    if (row + kernel_rows_ < w_.kernel.y) return;
    // A STORE waits for a computation of its own step.
    if (!any) stream_.post(stream_.alu(kMax, *linear(1), acc, acc, kLowest));
    if (gathered_) {
      store_tile(stream_, acc, part_, tile_, target_);
    } else {
      store();
    }
  }

  // Every accumulator of the area, before maxima among them.
  void fill() {
    const Span rows = {view_.y - y_, view_.y - y_ + view_.rows()};
    if (form_ == Form::kCopied) {
      const Span cols = {view_.x - x_, view_.x - x_ + view_.cols()};
      border(rows, cols);
      add(rows, cols, 0, 0, {1, 1}, 0);
      return;
    }
    const bool taps = form_ == Form::kTaps;
    if (!taps) border(rows, {0, area_.cols});
    const int64_t first_row = taps ? first_tap(axes_.vertical, tile_.y, tile_.rows) : 0;
    const int64_t first_col = first_tap(axes_.horizontal, tile_.x, tile_.cols);
    const bool started = first_row >= 0 && first_col >= 0;
    if (!started) lowest(area_, taps ? Span{0, area_.rows} : rows, {0, area_.cols});
    if (started) take(first_row, first_col, rows, true);
    for (int64_t ky = 0; ky < (taps ? w_.kernel.y : 1); ++ky) {
      for (int64_t kx = 0; kx < w_.kernel.x; ++kx) {
        if (!started || ky != first_row || kx != first_col) take(ky, kx, rows, false);
      }
    }
  }

  // One tap of all outputs that have it: column `kx` of the window, and row `ky` of it (kTaps) or
  // the rows `all` of the area (kRows).
  void take(int64_t ky, int64_t kx, const Span& all, bool first) {
    const Span cols = valid_outputs(axes_.horizontal, kx, tile_.x, tile_.cols);
    const bool taps = form_ == Form::kTaps;
    const Span rows = taps ? valid_outputs(axes_.vertical, ky, tile_.y, tile_.rows) : all;
    if (rows.count() <= 0 || cols.count() <= 0) return;
    const Pair step = {taps ? w_.stride.y : 1, w_.stride.x};
    if (first) {
      add(rows, cols, ky, kx, step, 0);
      return;
    }
    add(rows, cols, ky, kx, step, identities_);
    stream_.main(stream_.alu(kMax, *stream_.planned(rectangle(area_, rows, cols)),
                             at(area_, rows, cols), at(area_, rows, cols), 0));
    add(rows, cols, ky, kx, step, 0);
  }

  // Adds (tiles from `wgt` on: identities, or negative ones) to accumulator (r, c) the input pixel
  // (r * step.y + ky, c * step.x + kx) of the window.
  void add(const Span& rows, const Span& cols, int64_t ky, int64_t kx, const Pair& step,
           int64_t wgt) {
    const int64_t subs = blocking_.in_subs(), line = view_.cols() * subs;
    Dims dims = lane_dims(blocking_, part_, area_.group(), view_.rows() * line);
    dims.push_back({rows.count(), area_.row(), step.y * line});
    dims.push_back({cols.count(), area_.subs, step.x * subs});
    const int64_t iy = y_ + rows.first * step.y + ky - view_.y;
    const int64_t ix = x_ + cols.first * step.x + kx - view_.x;
    summed_gemm(stream_, dims, part_.blocks() * rows.count() * cols.count(),
                at(area_, rows, cols), inp_ + iy * line + ix * subs, wgt, scratch_);
  }

  static int64_t at(const Area& area, const Span& rows, const Span& cols) {
    return area.base + rows.first * area.row() + cols.first * area.subs;
  }

  Dims rectangle(const Area& area, const Span& rows, const Span& cols) const {
    return {{part_.groups, area.group(), area.group()},
            {rows.count(), area.row(), area.row()},
            {cols.count() * area.subs, 1, 1}};
  }

  // -128 into cleared accumulators.
  void lowest(const Area& area, const Span& rows, const Span& cols) {
    if (rows.count() <= 0 || cols.count() <= 0) return;
    const int64_t base = at(area, rows, cols);
    stream_.pre(
        stream_.alu(kMin, *stream_.planned(rectangle(area, rows, cols)), base, base, kLowest));
  }

  // The area around `rows` x `cols`.
  void border(const Span& rows, const Span& cols) {
    lowest(area_, {0, rows.first}, {0, area_.cols});
    lowest(area_, {rows.end, area_.rows}, {0, area_.cols});
    lowest(area_, rows, {0, cols.first});
    lowest(area_, rows, {cols.end, area_.cols});
  }

  // A tap that all outputs of a tile have, the middle one first; -1 if there is none.
  static int64_t first_tap(const Axis& axis, int64_t start, int64_t count) {
    for (int64_t i = 0; i < axis.reach; ++i) {
      const int64_t tap = (axis.reach / 2 + i) % axis.reach;
      if (valid_outputs(axis, tap, start, count).count() == count) return tap;
    }
    return -1;
  }

  // Outputs of a tile, from its first on, for which `tap` reads inside the tensor.
  static Span valid_outputs(const Axis& axis, int64_t tap, int64_t start, int64_t count) {
    const int64_t first = ceil_div(axis.before - tap, axis.stride);
    const int64_t end = floor_div(axis.extent - 1 + axis.before - tap, axis.stride) + 1;
    return {std::max(start, first) - start, std::min(start + count, end) - start};
  }

  // Maxima in place: each of `outputs` neighbours `stride` apart takes the `count` from itself on.
  // `apply(n, step, distance)` takes, for n neighbours `step` apart from the first on and in that
  // order, the neighbour at a distance: what it reads is written later. One output halves its
  // neighbours; several double the reach of those `stride` apart, then take the taps between.
  template <class Apply>
  static void in_place(int64_t outputs, int64_t count, int64_t stride, const Apply& apply) {
    if (outputs == 1) {
      for (int64_t left = count; left > 1; left = ceil_div(left, 2)) {
        apply(left / 2, 1, ceil_div(left, 2));
      }
      return;
    }
    const int64_t own = ceil_div(count, stride);
    for (int64_t have = 1; have < own;) {
      const int64_t more = std::min(have, own - have);
      apply(outputs + own - have - more, stride, more * stride);
      have += more;
    }
    for (int64_t tap = 0; tap < count; ++tap) {
      if (tap % stride) apply(outputs, stride, tap);
    }
  }

  // Along the rows that hold pixels: the others are -128 as they are.
  void along_x(const Span& rows) {
    const int64_t subs = area_.subs;
    const bool all = rows.count() == area_.rows;
    const int64_t count = all ? part_.groups * area_.rows : rows.count();
    Dims lanes = {{subs, 1, 1}};
    if (!all) lanes.push_back({part_.groups, area_.group(), area_.group()});
    in_place(tile_.cols, w_.kernel.x, w_.stride.x, [&](int64_t n, int64_t step, int64_t distance) {
      ordered({count, area_.row(), area_.row()}, {n, step * subs, step * subs}, lanes,
              at(area_, rows, {0, 0}), distance * subs);
    });
  }

  void along_y(int64_t count) {
    const int64_t subs = area_.subs;
    const bool apart = form_ == Form::kCopied && w_.stride.x > 1;  // outputs are no neighbours
    const int64_t next = apart ? w_.stride.x * subs : 1;
    Dims lanes = {{part_.groups, area_.group(), area_.group()}};
    if (apart) lanes.push_back({subs, 1, 1});
    in_place(tile_.rows, count, w_.stride.y, [&](int64_t n, int64_t step, int64_t distance) {
      ordered({n, step * area_.row(), step * area_.row()},
              {apart ? tile_.cols : tile_.cols * subs, next, next}, lanes, area_.base,
              distance * area_.row());
    });
  }

  // Register MAX with the accumulator `distance` behind: iterations in the order given.
  void ordered(const Dim& outer, const Dim& inner, const Dims& uops, int64_t base,
               int64_t distance) {
    const Nest nest = {outer, inner, unrolled(uops)};
    stream_.post(stream_.alu(kMax, nest, base, base + distance));
  }

  // Outputs take the maxima of the area; those of the only step are added to zeros.
  void gather(const Area& out) {
    const Dims dims = {{part_.groups, out.group(), area_.group()},
                       {out.rows, out.row(), w_.stride.y * area_.row()},
                       {out.cols, out.subs, w_.stride.x * area_.subs},
                       {out.subs, 1, 1}};
    const AluOp op = parts() ? kMax : kAdd;
    stream_.post(stream_.alu(op, *stream_.planned(dims), out.base, area_.base));
  }

  // Output rows lie in the area, perhaps with others between them.
  void store() {
    const int64_t apart = form_ == Form::kTaps ? 1 : w_.stride.y;
    for (int64_t i = 0; i < part_.groups; ++i) {
      const ChannelTile group = {part_.first + i, 1, part_.subs};
      const int64_t base = area_.base + i * area_.group();
      if (apart == 1 && area_.cols == tile_.cols) {
        store_tile(stream_, base, group, tile_, target_);
        continue;
      }
      for (int64_t y = 0; y < tile_.rows; ++y) {
        store_tile(stream_, base + y * apart * area_.row(), group,
                   {tile_.y + y, tile_.x, 1, tile_.cols}, target_);
      }
    }
  }

  Stream& stream_;
  const Pool& w_;
  const Schedule& s_;
  const Config& config_;
  const Blocking blocking_;
  const Axes axes_;
  const TensorLayout source_, target_;
  Constants constants_;
  const std::vector<ChannelTile> channels_;
  const int64_t kernel_rows_;
  const Form form_;
  const bool gathered_;  // outputs are gathered from the area
  const int64_t identities_;
  int64_t inp_slot_ = 0, acc_slot_ = 0;

  // The step under way.
  ChannelTile part_{};
  SpatialTile tile_{};
  Window view_{};
  Area area_{};
  int64_t inp_ = 0, scratch_ = 0, y_ = 0, x_ = 0;
};

}  // namespace

Constants emit_max_pool(Stream& stream, const Pool& workload, const Schedule& schedule) {
  return MaxPool(stream, workload, schedule).run();
}

}  // namespace codesign::units
