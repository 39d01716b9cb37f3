// Tokens and queues played without a clock; the twin of codesign/isa/ordering.py.
#ifndef CODESIGN_SIM_TOKEN_PLAY_H_
#define CODESIGN_SIM_TOKEN_PLAY_H_

#include <array>
#include <cstdint>
#include <vector>

#include "isa.h"

namespace codesign {

using Clock = std::array<int32_t, kModules>;

struct Play {
  std::vector<int32_t> order;   // instructions as they ran; all of them, or it deadlocks
  std::vector<Clock> clocks;    // by instruction: surely complete ones of each module at its start
  bool overflow = false;        // a 256th token may wait
  bool balanced = false;        // no token is left
};

// Runs every instruction as early as possible; `hold` moves only when no other module can.
Play play(const std::vector<Instruction>& program, int hold = -1);

}  // namespace codesign

#endif  // CODESIGN_SIM_TOKEN_PLAY_H_
