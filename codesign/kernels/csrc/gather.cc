// Gathers: output blocks joined from input blocks through selection tiles, pixels repeated by loops
// that stand still on the input. Added pixels get no product, only the bias.
#include <map>

#include "emit.h"
#include "infeasible.h"
#include "output.h"
#include "ring.h"

namespace codesign::units {
namespace {

// Positions of a tile along one axis that show input positions: `count` inputs from `input` on,
// each `times` times, from position `at` of the tile on.
struct Shown {
  int64_t at, input, count, times;
};

// Cuts tile positions [start, start + count) into runs of whole and cut-off repetitions.
std::vector<Shown> shown(int64_t start, int64_t count, int64_t extent, int64_t repeat,
                         int64_t before) {
  std::vector<Shown> runs;
  const int64_t end = std::min(start + count - before, extent * repeat);
  int64_t at = std::max<int64_t>(start - before, 0);
  while (at < end) {
    const int64_t input = at / repeat, skipped = at % repeat;
    const int64_t whole = skipped ? 0 : (end - at) / repeat;
    const int64_t times = whole ? repeat : std::min(repeat - skipped, end - at);
    runs.push_back({at + before - start, input, std::max<int64_t>(whole, 1), times});
    at += runs.back().count * times;
  }
  return runs;
}

// One GEMM micro-op a pixel: an output block reads an input block through a selection tile.
struct Term {
  int64_t dst, src, wgt;
};

// The terms of one channel tile, numbered as codesign/kernels/selection.py does.
struct Selection {
  struct Read {
    int64_t source, group;
    bool operator<(const Read& o) const {
      return source != o.source ? source < o.source : group < o.group;
    }
  };
  struct Product {
    int64_t block, source, input, tile;
  };
  std::vector<Product> products;    // by position among the terms of a block, then by block
  std::map<Read, int64_t> reads;    // input groups and their places in INP
  int64_t tiles = 0;
};

Selection select(const Gather& w, const Blocking& blocking, const ChannelTile& part) {
  using Lanes = std::vector<int64_t>;
  Selection found;
  std::map<Lanes, int64_t> numbers;
  std::vector<std::vector<Selection::Product>> by_position;
  const auto channels = static_cast<int64_t>(w.picks.size());
  for (int64_t block = 0; block < part.blocks(); ++block) {
    const int64_t first = (part.first * blocking.out_subs() + block) * blocking.block_out;
    std::map<Selection::Read, Lanes> lanes;
    for (int64_t c = first; c < std::min(first + blocking.block_out, channels); ++c) {
      const Gather::Pick& pick = w.picks[static_cast<size_t>(c)];
      Lanes& pairs = lanes[{pick.source, pick.channel / blocking.block_in}];
      pairs.push_back(c - first);
      pairs.push_back(pick.channel % blocking.block_in);
    }
    size_t position = 0;
    for (auto& [read, pairs] : lanes) {
      pairs.push_back(read.source);
      const int64_t tile =
          numbers.try_emplace(pairs, static_cast<int64_t>(numbers.size())).first->second;
      if (by_position.size() == position) by_position.emplace_back();
      by_position[position++].push_back({block, read.source, read.group, tile});
      found.reads[{read.source, read.group / blocking.in_subs()}] = 0;
    }
  }
  int64_t place = 0;
  for (auto& [read, at] : found.reads) at = place++;
  for (const auto& products : by_position) {
    found.products.insert(found.products.end(), products.begin(), products.end());
  }
  found.tiles = static_cast<int64_t>(numbers.size());
  return found;
}

class GatherUnit {
 public:
  GatherUnit(Stream& stream, const Gather& workload, const Schedule& schedule,
             const Requant& numbers)
      : stream_(stream), w_(workload), s_(schedule), numbers_(numbers),
        config_(stream.config()), blocking_(Blocking::of(config_)), sources_(workload.sources()),
        target_(workload.target()), constants_(config_),
        channels_(channel_tiles(target_.channels, schedule.out_groups, blocking_)) {
    for (const ChannelTile& part : channels_) selections_.push_back(select(w_, blocking_, part));
  }

  Constants run() {
    size_slots();
    std::vector<int64_t> first_weight;
    for (size_t c = 0; c < channels_.size(); ++c) first_weight.push_back(constants_.add(tiles(c)));
    Ring inputs(s_.inp_slots, inp_slot_), weights(wgt_slots_, wgt_slot_);
    int64_t number = 0;
    const int64_t last = static_cast<int64_t>(channels_.size()) *
                         ceil_div(target_.height, s_.rows) * ceil_div(target_.width, s_.cols);
    for (size_t c = 0; c < channels_.size(); ++c) {
      const ChannelTile& part = channels_[c];
      for (const SpatialTile& tile :
           spatial_tiles(target_.height, target_.width, s_.rows, s_.cols)) {
        const int64_t acc = number % s_.acc_slots * acc_slot_;
        const int64_t inp = inputs.use(number).address;
        const Ring::Slot wgt = weights.use(static_cast<int64_t>(c));
        stream_.begin_step();
        if (number == 0) {
          stream_.load(kInp, kConstants, {stream_.unit_element(), constants_.unit_element(), 1});
        }
        if (wgt.missing) stream_.load(kWgt, kConstants, {wgt.address, first_weight[c], tiles(c)});
        stream_.reads(kWgt, wgt.address, wgt.address + tiles(c));
        const int64_t count = part.blocks() * tile.pixels();
        stream_.writes(acc, acc + count);
        gather(c, tile, acc, inp, wgt.address);
        ++number;
        const bool hidden = (s_.acc_slots > 1 && number < last) || !s_.split;
        bool separate = false;
        for (const OutputPart& some : output_parts(config_, part, tile, acc, hidden)) {
          if (separate) {
            stream_.end_step();
            stream_.begin_step();
            stream_.reads(kWgt, wgt.address, wgt.address + tiles(c));
          }
          separate = true;
          finish(some, wgt.address + tiles(c) - bias_tiles(c));
        }
        stream_.end_step();
      }
    }
    return constants_;
  }

 private:
  int64_t tiles(size_t c) const {
    return w_.digits * selections_[c].tiles + (w_.digits > 1 ? 2 : 1) * bias_tiles(c);
  }
  int64_t bias_tiles(size_t c) const {
    return channels_[c].blocks() * default_bias_tiles(config_);
  }

  // Bias (tiles from `wgt` on), requantisation and store of a part of a tile.
  void finish(const OutputPart& some, int64_t wgt) {
    const int64_t pixels = some.tile.pixels();
    const int64_t each = some.channels.subs * default_bias_tiles(config_);
    bias(some.channels, pixels, some.acc, wgt + some.group * each);
    requantize(stream_, some.acc, some.channels.blocks() * pixels, numbers_);
    store_tile(stream_, some.acc, some.channels, some.tile, target_);
  }

  void bias(const ChannelTile& channels, int64_t pixels, int64_t acc, int64_t wgt) {
    const int64_t each = default_bias_tiles(config_), subs = channels.subs;
    add_bias(stream_,
             {{channels.groups, pixels * subs, 0, subs * each},
              {subs, 1, 0, each},
              {pixels, subs}},
             acc, wgt, each);
  }

  // Largest number of input positions that `count` adjacent outputs show along an axis.
  static int64_t window(int64_t count, int64_t extent, int64_t repeat) {
    return std::min(extent, (count + 2 * repeat - 2) / repeat);
  }

  void size_slots() {
    int64_t blocks = 0, reads = 0;
    for (size_t c = 0; c < channels_.size(); ++c) {
      blocks = std::max(blocks, channels_[c].blocks());
      reads = std::max(reads, static_cast<int64_t>(selections_[c].reads.size()));
      wgt_slot_ = std::max(wgt_slot_, tiles(c));
    }
    const int64_t rows = std::min(s_.rows, target_.height);
    const int64_t cols = std::min(s_.cols, target_.width);
    const int64_t pixels =
        window(rows, w_.height, w_.repeat.y) * window(cols, w_.width, w_.repeat.x);
    inp_slot_ = reads * pixels * blocking_.in_subs();
    acc_slot_ = blocks * rows * cols;
    require_room("inp_depth", s_.inp_slots * inp_slot_ + 1, int64_t{1} << config_.log_inp_depth);
    require_room("acc_depth", s_.acc_slots * acc_slot_, int64_t{1} << config_.log_acc_depth);
    require_room("wgt_depth", wgt_slot_, int64_t{1} << config_.log_wgt_depth);
    wgt_slots_ = std::min(static_cast<int64_t>(channels_.size()),
                          (int64_t{1} << config_.log_wgt_depth) / wgt_slot_);
  }

  // Loads and products of one tile, digit by digit of the multipliers; biases' upper parts.
  void gather(size_t c, const SpatialTile& tile, int64_t acc, int64_t inp, int64_t wgt) {
    const ChannelTile& part = channels_[c];
    const Selection& selection = selections_[c];
    const auto ys = shown(tile.y, tile.rows, w_.height, w_.repeat.y, w_.padding.top);
    const auto xs = shown(tile.x, tile.cols, w_.width, w_.repeat.x, w_.padding.left);
    const bool any = !ys.empty() && !xs.empty();
    const int64_t count = part.blocks() * tile.pixels();
    if (!any) {
      stream_.pre(reset(stream_, acc, count));
      for (int64_t digit = 0; digit + 1 < w_.digits; ++digit) {
        between_digits(c, tile, acc, wgt, digit);
      }
      return;
    }
    const Window view = {ys[0].input, xs[0].input,
                         ys.back().input + ys.back().count - ys[0].input,
                         xs.back().input + xs.back().count - xs[0].input, {0, 0, 0, 0}};
    const int64_t subs = blocking_.in_subs(), plane = view.rows() * view.cols() * subs;
    load_groups(selection, view, inp, plane);
    stream_.pre(reset(stream_, acc, count));
    std::vector<Term> terms;
    for (const Selection::Product& p : selection.products) {
      const int64_t place = selection.reads.at({p.source, p.input / subs});
      terms.push_back({acc + p.block / part.subs * tile.pixels() * part.subs + p.block % part.subs,
                       inp + place * plane + p.input % subs, wgt + p.tile});
    }
    for (int64_t digit = 0; digit < w_.digits; ++digit) {
      for (size_t at = 0; at < terms.size();) {
        const Dim run = progression(terms, at);
        for (const Shown& y : ys) {
          for (const Shown& x : xs) region(run, terms[at], part, tile, view, y, x);
        }
        at += static_cast<size_t>(run.extent);
      }
      for (Term& term : terms) term.wgt += selection.tiles;
      if (digit + 1 < w_.digits) between_digits(c, tile, acc, wgt, digit);
    }
  }

  void between_digits(size_t c, const SpatialTile& tile, int64_t acc, int64_t wgt, int64_t digit) {
    const ChannelTile& part = channels_[c];
    if (digit == 0) bias(part, tile.pixels(), acc, wgt + tiles(c) - 2 * bias_tiles(c));
    next_digit(stream_, acc, part.blocks() * tile.pixels());
  }

  // Adjacent groups of one source load together.
  void load_groups(const Selection& selection, const Window& view, int64_t inp, int64_t plane) {
    for (auto at = selection.reads.begin(); at != selection.reads.end();) {
      const auto first = at;
      int64_t count = 0;
      while (at != selection.reads.end() && at->first.source == first->first.source &&
             at->first.group == first->first.group + count) {
        ++at, ++count;
      }
      const int64_t source = first->first.source;
      load_window(stream_, view, sources_[static_cast<size_t>(source)],
                  {first->first.group, count}, blocking_.in_subs(),
                  kInput + static_cast<int32_t>(source), inp + first->second * plane, plane);
    }
    stream_.reads(kInp, inp, inp + static_cast<int64_t>(selection.reads.size()) * plane);
  }

  // The longest run of terms from `at` on whose indices grow by equal steps.
  static Dim progression(const std::vector<Term>& terms, size_t at) {
    Dim run = {1, 0, 0, 0};
    if (at + 1 == terms.size()) return run;
    const Term &a = terms[at], &b = terms[at + 1];
    const Dim step = {2, b.dst - a.dst, b.src - a.src, b.wgt - a.wgt};
    if (step.dst <= 0 || step.src < 0 || step.wgt < 0) return run;
    run = step;
    for (size_t i = at + 2; i < terms.size(); ++i, ++run.extent) {
      const Term &last = terms[i - 1], &next = terms[i];
      if (next.dst - last.dst != step.dst || next.src - last.src != step.src ||
          next.wgt - last.wgt != step.wgt) {
        break;
      }
    }
    return run;
  }

  void region(const Dim& run, const Term& first, const ChannelTile& part, const SpatialTile& tile,
              const Window& view, const Shown& y, const Shown& x) {
    const int64_t subs = blocking_.in_subs(), line = view.cols() * subs;
    const int64_t row = tile.cols * part.subs;
    const Dims dims = {run,
                       {y.count, y.times * row, line},
                       {y.times, row, 0},
                       {x.count, x.times * part.subs, subs},
                       {x.times, part.subs, 0}};
    stream_.main(stream_.gemm(stream_.planned(dims), first.dst + y.at * row + x.at * part.subs,
                              first.src + (y.input - view.y) * line + (x.input - view.x) * subs,
                              first.wgt));
  }

  Stream& stream_;
  const Gather& w_;
  const Schedule& s_;
  const Requant& numbers_;
  const Config& config_;
  const Blocking blocking_;
  const std::vector<TensorLayout> sources_;
  const TensorLayout target_;
  Constants constants_;
  const std::vector<ChannelTile> channels_;
  std::vector<Selection> selections_;
  int64_t inp_slot_ = 0, wgt_slot_ = 0, wgt_slots_ = 1, acc_slot_ = 0;
};

}  // namespace

Constants emit(Stream& stream, const Gather& workload, const Schedule& schedule,
               const Requant& numbers) {
  return GatherUnit(stream, workload, schedule, numbers).run();
}

}  // namespace codesign::units
