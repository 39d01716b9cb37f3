// Residual add and stand-alone requantisation: scaled identities summed in the accumulators.
#include "emit.h"
#include "infeasible.h"
#include "output.h"
#include "ring.h"

namespace codesign::units {

Constants emit(Stream& stream, const Elementwise& w, const Schedule& s, const Requant& numbers) {
  const Config& config = stream.config();
  const Blocking blocking = Blocking::of(config);
  const std::vector<TensorLayout> sources = w.sources();
  const TensorLayout target = w.target();
  const Axes axes = {{w.height, 1, 1, 0}, {w.width, 1, 1, 0}};
  const std::vector<ChannelTile> channels = channel_tiles(w.channels, s.out_groups, blocking);
  int64_t blocks = 0, groups = 0;
  for (const ChannelTile& part : channels) {
    blocks = std::max(blocks, part.blocks()), groups = std::max(groups, part.groups);
  }
  const int64_t operand = groups * s.rows * s.cols * blocking.in_subs();
  const int64_t acc_slot = blocks * s.rows * s.cols + kScratch;
  const int64_t identities = identity_count(blocking), bias_tiles = default_bias_tiles(config);
  const int64_t biases = w.digits * w.operands * identities;  // the first bias tile
  const int64_t weights = biases + bias_tiles * (w.digits > 1 ? 2 : 1);
  require_room("inp_depth", s.inp_slots * w.operands * operand + 1,
               int64_t{1} << config.log_inp_depth);
  require_room("acc_depth", s.acc_slots * acc_slot, int64_t{1} << config.log_acc_depth);
  require_room("wgt_depth", weights, int64_t{1} << config.log_wgt_depth);

  Constants constants(config);
  const int64_t first_weight = constants.add(weights);
  Ring ring(s.inp_slots, w.operands * operand);
  const std::vector<SpatialTile> spatial = spatial_tiles(w.height, w.width, s.rows, s.cols);
  const auto tiles = static_cast<int64_t>(channels.size() * spatial.size());
  const auto load_unit = [&] {
    stream.load(kInp, kConstants, {stream.unit_element(), constants.unit_element(), 1});
  };
  int64_t number = 0;
  for (const ChannelTile& part : channels) {
    for (const SpatialTile& tile : spatial) {
      const int64_t acc = number % s.acc_slots * acc_slot, count = part.blocks() * tile.pixels();
      const int64_t inp = ring.use(number).address;
      const int64_t plane = tile.pixels() * blocking.in_subs();
      stream.begin_step();
      if (number == 0) stream.load(kWgt, kConstants, {0, first_weight, weights});
      const Window view = window(axes, tile, 0);
      for (int64_t k = 0; k < w.operands; ++k) {
        load_window(stream, view, sources[static_cast<size_t>(k)], {part.first, part.groups},
                    blocking.in_subs(), kInput + static_cast<int32_t>(k), inp + k * operand,
                    plane);
        stream.reads(kInp, inp + k * operand, inp + k * operand + part.groups * plane);
      }
      stream.reads(kWgt, 0, weights);
      stream.writes(acc, acc + count + kScratch);
      stream.pre(reset(stream, acc, count + kScratch));
      Dims dims = lane_dims(blocking, part, tile.pixels() * part.subs, plane);
      dims.push_back({tile.pixels(), part.subs, blocking.in_subs()});
      if (w.digits > 1) load_unit();
      for (int64_t digit = 0; digit < w.digits; ++digit) {
        for (int64_t k = 0; k < w.operands; ++k) {
          const int64_t wgt = (digit * w.operands + k) * identities;
          summed_gemm(stream, dims, count, acc, inp + k * operand, wgt, acc + count);
        }
        if (digit + 1 == w.digits) break;
        if (digit == 0) add_bias(stream, {{count, 1}}, acc, biases, bias_tiles);
        next_digit(stream, acc, count);
      }
      ++number;
      const bool hidden = (s.acc_slots > 1 && number < tiles) || !s.split;
      bool separate = !stream.has_unit_element();
      for (const OutputPart& some : output_parts(config, part, tile, acc, hidden)) {
        if (separate) {
          stream.end_step();
          stream.begin_step();
        }
        separate = true;
        load_unit();
        const int64_t outputs = some.channels.blocks() * some.tile.pixels();
        add_bias(stream, {{outputs, 1}}, some.acc, weights - bias_tiles, bias_tiles);
        stream.reads(kWgt, 0, weights);
        requantize(stream, some.acc, outputs, numbers);
        store_tile(stream, some.acc, some.channels, some.tile, target);
      }
      stream.end_step();
    }
  }
  return constants;
}

}  // namespace codesign::units
