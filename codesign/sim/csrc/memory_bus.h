// The shared read bus (VTA_TIMING.md sections 2, 8.4 to 8.6) and the burst rule.
#ifndef CODESIGN_SIM_MEMORY_BUS_H_
#define CODESIGN_SIM_MEMORY_BUS_H_

#include <algorithm>
#include <cstdint>
#include <deque>

#include "simulator.h"

namespace codesign {

constexpr int64_t kNever = INT64_MAX;

// Cuts the rows of one transfer into bursts: at every address that is a multiple of the longest
// burst, and at row ends even where rows are contiguous.
class BurstCutter {
 public:
  struct Burst {
    int64_t beats, bytes;
  };

  BurstCutter() = default;
  BurstCutter(const Config& config, uint64_t address, int64_t rows, uint64_t row_stride,
              int64_t row_bytes)
      : bus_bytes_(static_cast<uint64_t>(config.bus_bytes())),
        burst_bytes_(static_cast<uint64_t>(config.burst_bytes())),
        address_(address), rows_left_(rows), row_start_(address), row_stride_(row_stride),
        row_bytes_(row_bytes), left_(row_bytes) {}

  bool done() const { return rows_left_ == 0; }

  Burst next() {
    const uint64_t room = burst_bytes_ - (address_ & (burst_bytes_ - 1));
    const int64_t bytes = std::min<int64_t>(left_, static_cast<int64_t>(room));
    const uint64_t head = address_ & (bus_bytes_ - 1);
    const int64_t beats = static_cast<int64_t>((head + bytes + bus_bytes_ - 1) / bus_bytes_);
    address_ += static_cast<uint64_t>(bytes);
    left_ -= bytes;
    if (left_ == 0) {
      --rows_left_;
      row_start_ += row_stride_;
      address_ = row_start_;
      left_ = row_bytes_;
    }
    return {beats, bytes};
  }

 private:
  uint64_t bus_bytes_ = 1, burst_bytes_ = 1, address_ = 0;
  int64_t rows_left_ = 0;
  uint64_t row_start_ = 0, row_stride_ = 0;
  int64_t row_bytes_ = 0, left_ = 0;
};

// Serves requests in the order they are issued, one beat a cycle.
class ReadBus {
 public:
  explicit ReadBus(const Config& config)
      : latency_(config.read_latency), limit_(static_cast<size_t>(config.outstanding_reads)) {}

  // Whether a request may go out in cycle `now`: room in flight, and no burst ends now.
  bool ready(int64_t now) {
    retire(now);
    return in_flight_.size() < limit_ && (in_flight_.empty() || in_flight_.front() != now);
  }

  // The first cycle from `from` on in which the in-flight limit alone allows a request.
  int64_t earliest(int64_t from) const {
    if (in_flight_.size() < limit_) return from;
    return std::max(from, in_flight_.front() + 1);
  }

  struct Beats {
    int64_t first, last;
  };

  Beats issue(int64_t now, int64_t beats) {
    const int64_t first = std::max(now + latency_, last_ + 1);
    last_ = first + beats - 1;
    in_flight_.push_back(last_);
    total_beats_ += beats;
    ++total_bursts_;
    return {first, last_};
  }

  int64_t total_beats() const { return total_beats_; }
  int64_t total_bursts() const { return total_bursts_; }

 private:
  void retire(int64_t now) {
    while (!in_flight_.empty() && in_flight_.front() < now) in_flight_.pop_front();
  }

  int64_t latency_;
  size_t limit_;
  int64_t last_ = -1, total_beats_ = 0, total_bursts_ = 0;
  std::deque<int64_t> in_flight_;  // cycle of each burst's last beat, ascending
};

}  // namespace codesign

#endif  // CODESIGN_SIM_MEMORY_BUS_H_
