#include "transfer.h"

namespace codesign {

void LoadTransfer::begin(const Config& config, const Instruction& in, int64_t element_bytes,
                         int64_t start) {
  active_ = true;
  memory_type_ = in.memory_type;
  start_ = start;
  ready_ = start + 2 + in.y_pad_0;
  // A bus at least as wide as the element writes its beats one register earlier.
  write_delay_ = config.bus_bytes() >= element_bytes ? 1 : 2;
  const int64_t pitch = int64_t{in.x_pad_0} + in.x_size + in.x_pad_1;
  const int64_t x_pads = int64_t{in.y_size} * (in.x_pad_0 + in.x_pad_1);
  skipped_ = x_pads == 0 && in.y_pad_1 > 0 ? in.y_size : 0;
  zeros_before_ = pitch * in.y_pad_0 + x_pads;
  zeros_after_ = pitch * in.y_pad_1;
  padded_ = zeros_before_ + zeros_after_ > 0;
  writes_.clear();
  beats_ = 0;
  cutter_ = BurstCutter(config, static_cast<uint64_t>(in.dram_base * element_bytes), in.y_size,
                        static_cast<uint64_t>(in.x_stride * element_bytes),
                        in.x_size * element_bytes);
}

int64_t LoadTransfer::issue(ReadBus& bus, int64_t now) {
  const ReadBus::Beats beats = bus.issue(now, cutter_.next().beats);
  beats_ += beats.last - beats.first + 1;
  const int64_t last_write = beats.last + write_delay_;
  if (padded_) writes_.push_back({beats.first + write_delay_, last_write});
  ready_ = now + 2;
  if (!cutter_.done()) return kNever;
  active_ = false;
  return std::max(last_write, padded_ ? last_zero_write() : 0) + 2;
}

int64_t LoadTransfer::last_zero_write() const {
  size_t next = 0;
  int64_t cursor = place_zeros(start_ + 2, zeros_before_, next);
  cursor = place_zeros(cursor + skipped_, zeros_after_, next);
  return cursor - 1;
}

// Places `count` zero writes from `cursor` on in cycles without a data write; returns the cycle
// after the last. `next` is the first burst that may still lie ahead of the cursor.
int64_t LoadTransfer::place_zeros(int64_t cursor, int64_t count, size_t& next) const {
  while (count > 0) {
    while (next < writes_.size() && writes_[next].last < cursor) ++next;
    if (next == writes_.size()) return cursor + count;
    const int64_t free_cycles = std::max<int64_t>(0, writes_[next].first - cursor);
    if (count <= free_cycles) return cursor + count;
    count -= free_cycles;
    cursor = writes_[next].last + 1;
  }
  return cursor;
}

StoreTiming store_timing(const Config& config, const Instruction& in, int64_t element_bytes) {
  BurstCutter cutter(config, static_cast<uint64_t>(in.dram_base * element_bytes), in.y_size,
                     static_cast<uint64_t>(in.x_stride * element_bytes),
                     in.x_size * element_bytes);
  const bool wide = config.bus_bytes() >= element_bytes;
  StoreTiming total{1, 0, 0};
  while (!cutter.done()) {
    const BurstCutter::Burst burst = cutter.next();
    const int64_t bubbles = wide ? 1 : (burst.bytes + element_bytes - 1) / element_bytes;
    total.cycles += config.write_address_latency + burst.beats + bubbles +
                    config.write_response_latency + 1;
    total.beats += burst.beats;
    ++total.bursts;
  }
  return total;
}

}  // namespace codesign
