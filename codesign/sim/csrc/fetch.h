// The fetch module: reads chunks of instructions, dispatches one a cycle (VTA_TIMING.md 1, 8.1).
#ifndef CODESIGN_SIM_FETCH_H_
#define CODESIGN_SIM_FETCH_H_

#include <algorithm>
#include <cstdint>

#include "memory_bus.h"

namespace codesign {

class Fetch {
 public:
  Fetch(const Config& config, int64_t count, uint64_t address)
      : config_(config), count_(count), address_(address) {
    const int64_t halves =
        std::min(config.max_burst_beats * config.bus_bits / 64, 2 * config.max_burst_beats);
    chunk_ = std::max<int64_t>(1, halves * 8 / config.instruction_bytes);
    // A bus of 128 bits and more has a realigning queue: 3 cycles before, 2 after the dispatch.
    before_dispatch_ = config.bus_bits == 64 ? 2 : 5;
    after_dispatch_ = config.bus_bits == 64 ? 2 : 4;
    command(1);
  }

  bool requesting() const { return !cutter_.done(); }
  int64_t request_ready() const { return ready_; }

  void issue(ReadBus& bus, int64_t now) {
    const int64_t last = bus.issue(now, cutter_.next().beats).last;
    ready_ = now + 2;
    if (cutter_.done()) dispatch_at_ = last + before_dispatch_;
  }

  // The earliest cycle in which instruction `next()` may be enqueued; kNever until its chunk is in.
  int64_t dispatch_at() const { return dispatch_at_; }
  int64_t next() const { return next_; }

  void dispatched(int64_t now) {
    ++next_;
    dispatch_at_ = now + 1;
    if (next_ == chunk_end_) command(now + after_dispatch_);
  }

 private:
  void command(int64_t cycle) {
    dispatch_at_ = kNever;
    if (next_ == count_) return;
    chunk_end_ = std::min(count_, next_ + chunk_);
    cutter_ = BurstCutter(config_, address_ + static_cast<uint64_t>(next_ * config_.instruction_bytes),
                          1, 0, (chunk_end_ - next_) * config_.instruction_bytes);
    ready_ = cycle + 1;
  }

  const Config& config_;
  int64_t count_;
  uint64_t address_;
  int64_t chunk_, before_dispatch_, after_dispatch_;
  int64_t next_ = 0, chunk_end_ = 0, ready_ = 0, dispatch_at_ = kNever;
  BurstCutter cutter_;
};

}  // namespace codesign

#endif  // CODESIGN_SIM_FETCH_H_
