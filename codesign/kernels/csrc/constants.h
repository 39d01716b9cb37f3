// The constants of a unit: where they lie in DRAM, and in which order.
#ifndef CODESIGN_KERNELS_CONSTANTS_H_
#define CODESIGN_KERNELS_CONSTANTS_H_

#include <cstdint>
#include <vector>

#include "blocking.h"

namespace codesign::units {

// Weight tiles that follow one another in DRAM. Of kWeights: output blocks, then input blocks, then
// the taps first + i * step of the kernel's rows, then of its columns; of kBias: output blocks,
// then the tiles of one bias, of the phase that in_block counts; of kIdentity: out_blocks scaled identities.
struct Piece {
  enum Kind : int64_t { kWeights, kBias, kIdentity };
  struct Taps {
    int64_t first, step, count;
  };
  int64_t kind, out_block, out_blocks, in_block, in_blocks;
  Taps y, x;

  static constexpr int64_t kFields = 11;
};

// Lays out a unit's constants: micro-ops, the constant input element, weight tiles in the order
// they are added, and ACC elements that scale accumulators.
class Constants {
 public:
  explicit Constants(const Config& config)
      : config_(config),
        uop_bytes_(align(std::min<int64_t>(int64_t{1} << config.log_uop_depth, 2048) *
                         config.uop_bytes)),
        weights_byte_(uop_bytes_ + align(inp_bytes())),
        end_(weights_byte_ / wgt_bytes()) {}

  // Address of the constant input element, in INP elements.
  int64_t unit_element() const { return uop_bytes_ / inp_bytes(); }
  // Appends `count` tiles; address of the first, in WGT elements.
  int64_t add(int64_t count) { return (end_ += count) - count; }
  int64_t add(const Piece& piece, int64_t count) {
    pieces_.push_back(piece);
    return add(count);
  }
  // Address in ACC elements of `count` of them, behind all weights.
  int64_t scaling(int64_t count) {
    scaling_byte_ = align(end_ * wgt_bytes());
    scaling_bytes_ = count * config_.acc_lanes() * 4;
    return scaling_byte_ / (config_.acc_lanes() * 4);
  }

  int64_t unit_byte() const { return uop_bytes_; }
  int64_t weights_byte() const { return weights_byte_; }
  int64_t scaling_byte() const { return scaling_byte_; }
  int64_t bytes() const {
    return align(std::max(end_ * wgt_bytes(), scaling_byte_ + scaling_bytes_));
  }
  const std::vector<Piece>& pieces() const { return pieces_; }

 private:
  int64_t inp_bytes() const { return config_.inp_lanes() * config_.inp_bits / 8; }
  int64_t wgt_bytes() const { return config_.wgt_lanes() * config_.wgt_bits / 8; }

  Config config_;
  int64_t uop_bytes_, weights_byte_, end_;
  int64_t scaling_byte_ = 0, scaling_bytes_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_CONSTANTS_H_
