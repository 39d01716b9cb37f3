#include "token_play.h"

#include <algorithm>

namespace codesign {
namespace {

constexpr size_t kQueueEntries = 512;
constexpr size_t kTokenLimit = 255;
constexpr int kPopPrev[kModules] = {kNone, kL2g, kG2s}, kPopNext[kModules] = {kG2l, kS2g, kNone};
constexpr int kPushPrev[kModules] = {kNone, kG2l, kS2g}, kPushNext[kModules] = {kL2g, kG2s, kNone};
constexpr int kPopper[kCounters] = {kComputeModule, kLoadModule, kStoreModule, kComputeModule};

// First in, first out; what was taken stays in memory until the end of the play.
template <class T>
struct Fifo {
  std::vector<T> items;
  size_t head = 0;
  size_t size() const { return items.size() - head; }
  const T& front() const { return items[head]; }
};

class Player {
 public:
  Player(const std::vector<Instruction>& program, int hold) : program_(program), hold_(hold) {
    result_.order.reserve(program.size());
    result_.clocks.resize(program.size());
  }

  Play run() {
    std::vector<int> modules;
    for (int m : {kStoreModule, kLoadModule, kComputeModule}) {
      if (m != hold_) modules.push_back(m);
    }
    if (hold_ >= 0) modules.push_back(hold_);
    do {
      fetch();
    } while (std::any_of(modules.begin(), modules.end(), [&](int m) { return step(m); }));
    finish();
    return std::move(result_);
  }

 private:
  void fetch() {
    for (; fetched_ < program_.size(); ++fetched_) {
      Fifo<int32_t>& queue = queues_[program_[fetched_].module()];
      if (queue.size() == kQueueEntries) return;
      queue.items.push_back(static_cast<int32_t>(fetched_));
    }
  }

  bool step(int m) {
    Fifo<int32_t>& queue = queues_[m];
    if (queue.size() == 0) return false;
    const int32_t index = queue.front();
    const Instruction& in = program_[index];
    if (missing(m, in) != kNone) return false;
    ++queue.head;
    Clock clock = now_[m];
    if (in.pop_prev) pop(kPopPrev[m], clock);
    if (in.pop_next) pop(kPopNext[m], clock);
    result_.order.push_back(index);
    result_.clocks[index] = clock;
    ++clock[m];
    now_[m] = clock;
    if (in.push_prev) push(kPushPrev[m], clock, index);
    if (in.push_next) push(kPushNext[m], clock, index);
    return true;
  }

  // The counter that the instruction waits for, or kNone.
  int missing(int m, const Instruction& in) const {
    if (in.pop_prev && tokens_[kPopPrev[m]].size() == 0) return kPopPrev[m];
    if (in.pop_next && tokens_[kPopNext[m]].size() == 0) return kPopNext[m];
    return kNone;
  }

  void pop(int counter, Clock& clock) {
    const Clock& token = tokens_[counter].front();
    for (int m = 0; m < kModules; ++m) clock[m] = std::max(clock[m], token[m]);
    ++tokens_[counter].head;
  }

  void push(int counter, const Clock& clock, int64_t index) {
    tokens_[counter].items.push_back(clock);
    const bool over = tokens_[counter].size() > kTokenLimit && kPopper[counter] == hold_;
    if (over && result_.overflow_index == kNone) {
      result_.overflow_index = index, result_.overflow_counter = counter;
    }
  }

  void finish() {
    for (int m = 0; m < kModules; ++m) {
      if (queues_[m].size() == 0) continue;
      const int32_t index = queues_[m].front();
      result_.waiting.emplace_back(index, missing(m, program_[index]));
    }
    if (fetched_ < program_.size()) {
      result_.waiting.emplace_back(static_cast<int64_t>(fetched_), kNone);
    }
    for (int counter = 0; counter < kCounters; ++counter) {
      result_.left[counter] = static_cast<int64_t>(tokens_[counter].size());
    }
  }

  const std::vector<Instruction>& program_;
  int hold_;
  size_t fetched_ = 0;
  std::array<Fifo<int32_t>, kModules> queues_;
  std::array<Fifo<Clock>, kCounters> tokens_;
  std::array<Clock, kModules> now_{};
  Play result_;
};

}  // namespace

Play play(const std::vector<Instruction>& program, int hold) {
  return Player(program, hold).run();
}

}  // namespace codesign
