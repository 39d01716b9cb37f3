// Timing of one LOAD and of one STORE (VTA_TIMING.md sections 3, 6 and 8.2).
#ifndef CODESIGN_SIM_TRANSFER_H_
#define CODESIGN_SIM_TRANSFER_H_

#include <cstdint>
#include <vector>

#include "isa.h"
#include "memory_bus.h"

namespace codesign {

// A LOAD in flight: presents its bursts one by one, then knows when its module is free.
class LoadTransfer {
 public:
  void begin(const Config& config, const Instruction& in, int64_t element_bytes, int64_t start);

  bool active() const { return active_; }
  int64_t ready() const { return ready_; }        // first cycle in which the next request may go
  int32_t memory_type() const { return memory_type_; }

  // Cycles in which the whole transfer writes on chip: one a beat, one a padded element.
  int64_t writes() const { return beats_ + zeros_before_ + zeros_after_; }

  // Issues the next request in cycle `now`; returns the cycle in which the module is free again,
  // or kNever while requests remain.
  int64_t issue(ReadBus& bus, int64_t now);

 private:
  int64_t last_zero_write() const;
  int64_t place_zeros(int64_t cursor, int64_t count, size_t& next) const;

  bool active_ = false, padded_ = false;
  int32_t memory_type_ = 0;
  int64_t start_ = 0, ready_ = 0, write_delay_ = 0;
  int64_t beats_ = 0, zeros_before_ = 0, zeros_after_ = 0, skipped_ = 0;
  BurstCutter cutter_;
  std::vector<ReadBus::Beats> writes_;  // on-chip write cycles of each burst, kept for pads only
};

struct StoreTiming {
  int64_t cycles, beats, bursts;
};
StoreTiming store_timing(const Config& config, const Instruction& in, int64_t element_bytes);

}  // namespace codesign

#endif  // CODESIGN_SIM_TRANSFER_H_
