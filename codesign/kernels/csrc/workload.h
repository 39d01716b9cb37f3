// Workloads, schedules and epilogue numbers, as codesign/kernels/native.py hands them over.
#ifndef CODESIGN_KERNELS_WORKLOAD_H_
#define CODESIGN_KERNELS_WORKLOAD_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "blocking.h"

namespace codesign::units {

struct Pair {
  int64_t y, x;
};

struct Pads {
  int64_t top, left, bottom, right;
};

// The fields mean what those of the same name in codesign/kernels/workload.py mean.
struct Conv {
  int64_t in_channels, out_channels, height, width;
  Pair kernel, stride;
  Pads padding;
  int64_t in_border, out_border, bias_tiles, groups;
  Pair dilation, up;
  int64_t residual_border;  // -1: no residual
  bool multiply, phase_bias;

  // Biases of one channel along each axis.
  Pair phases() const { return phase_bias ? up : Pair{1, 1}; }
  Pair reach() const {
    return {(kernel.y - 1) * dilation.y + 1, (kernel.x - 1) * dilation.x + 1};
  }
  int64_t out_height() const {
    return floor_div((height - 1) * up.y + 1 + padding.top + padding.bottom - reach().y,
                     stride.y) + 1;
  }
  int64_t out_width() const {
    return floor_div((width - 1) * up.x + 1 + padding.left + padding.right - reach().x,
                     stride.x) + 1;
  }
  TensorLayout target() const { return {out_channels, out_height(), out_width(), out_border}; }
  std::vector<TensorLayout> sources() const {
    std::vector<TensorLayout> all = {{in_channels, height, width, in_border}};
    if (residual_border >= 0) {
      all.push_back({out_channels, out_height(), out_width(), residual_border});
    }
    return all;
  }
};

struct Pool {
  bool average;
  int64_t channels, height, width;
  Pair kernel, stride;
  Pads padding;
  int64_t in_border, out_border, digits;

  int64_t out_height() const {
    return floor_div(height + padding.top + padding.bottom - kernel.y, stride.y) + 1;
  }
  int64_t out_width() const {
    return floor_div(width + padding.left + padding.right - kernel.x, stride.x) + 1;
  }
  TensorLayout target() const { return {channels, out_height(), out_width(), out_border}; }
  std::vector<TensorLayout> sources() const { return {{channels, height, width, in_border}}; }
};

struct Elementwise {
  int64_t operands, channels, height, width;
  std::vector<int64_t> in_borders;
  int64_t out_border, digits;

  TensorLayout target() const { return {channels, height, width, out_border}; }
  std::vector<TensorLayout> sources() const {
    std::vector<TensorLayout> all;
    for (int64_t border : in_borders) all.push_back({channels, height, width, border});
    return all;
  }
};

struct Gather {
  struct Source {
    int64_t channels, border;
  };
  struct Pick {
    int64_t source, channel;
  };
  int64_t height, width;
  Pair repeat;
  Pads padding;  // negative: cropped
  int64_t out_border, digits;
  std::vector<Source> inputs;
  std::vector<Pick> picks;

  TensorLayout target() const {
    return {static_cast<int64_t>(picks.size()),
            height * repeat.y + padding.top + padding.bottom,
            width * repeat.x + padding.left + padding.right, out_border};
  }
  std::vector<TensorLayout> sources() const {
    std::vector<TensorLayout> all;
    for (const Source& s : inputs) all.push_back({s.channels, height, width, s.border});
    return all;
  }
};

using Workload = std::variant<Conv, Pool, Elementwise, Gather>;

// Reads the flat form; throws std::invalid_argument where it is none.
Workload parse_workload(const std::vector<int64_t>& values);

TensorLayout target(const Workload& workload);
std::vector<TensorLayout> sources(const Workload& workload);

enum class Dataflow : int64_t { os, ws, is, rs };

// As codesign/kernels/schedule.py.
struct Schedule {
  Dataflow dataflow;
  int64_t rows, cols, out_groups, in_groups;
  bool co_major;
  int64_t inp_slots, wgt_slots, acc_slots, strip, kernel_rows;
  bool alternate;
  // Whether first weights and last outputs are moved in parts, which takes more micro-ops.
  bool split = true;

  static constexpr int64_t kFields = 12;
  static Schedule of(const int64_t* values);
};

// Immediates of the epilogue; the instruction count depends on none of them.
struct Requant {
  int64_t shift, low, high, steps, pre_shift;

  static constexpr int64_t kFields = 5;
  static Requant of(const int64_t* values);
  // Right shifts of at most 15 that make up `shift` in `steps` instructions.
  std::vector<int64_t> shifts() const {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < steps; ++i) all.push_back(shift / steps + (i < shift % steps));
    return all;
  }
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_WORKLOAD_H_
