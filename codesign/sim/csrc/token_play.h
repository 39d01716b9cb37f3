// Tokens and queues played without a clock; the twin of codesign/isa/ordering.py.
#ifndef CODESIGN_SIM_TOKEN_PLAY_H_
#define CODESIGN_SIM_TOKEN_PLAY_H_

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "isa.h"

namespace codesign {

using Clock = std::array<int32_t, kModules>;

// Token counters, in the order of codesign/isa/ordering.py.
enum Counter : int { kL2g, kG2l, kG2s, kS2g, kCounters };
constexpr int kNone = -1;

struct Play {
  std::vector<int32_t> order;  // instructions as they ran; all of them, or it deadlocks
  std::vector<Clock> clocks;   // by instruction: surely complete ones of each module at its start
  // Where nothing can go on: the modules' heads with the counter that each waits for, and the
  // next instruction to fetch, which waits for room (kNone).
  std::vector<std::pair<int64_t, int>> waiting;
  std::array<int64_t, kCounters> left{};  // tokens at the end
  int64_t overflow_index = kNone;         // the first that may push a 256th token, to
  int overflow_counter = kNone;           // this counter
};

// Runs every instruction as early as possible; `hold` moves only when no other module can.
Play play(const std::vector<Instruction>& program, int hold = -1);

}  // namespace codesign

#endif  // CODESIGN_SIM_TOKEN_PLAY_H_
