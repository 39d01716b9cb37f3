// The elements that one GEMM or ALU instruction touches, and how its micro-ops follow each other.
#ifndef CODESIGN_SIM_NEST_H_
#define CODESIGN_SIM_NEST_H_

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "isa.h"

namespace codesign {

struct Interval {
  int64_t begin, end;
};
using Intervals = std::vector<Interval>;

struct Nest {
  // The first operand that leaves its memory (0 dst, 1 src, 2 wgt; -1 none), and how far it goes.
  int operand = -1;
  int64_t reach = 0, limit = 0;
  Intervals dst, src, wgt;  // distinct elements in rising order; empty where not read
  // A dst index comes again, or is read, within two micro-ops (loop wraps included).
  bool repeats_dst = false, reads_recent = false;
  bool names_wgt = false, src_differs = false;  // some micro-op has a wgt, a src unlike its dst
};

// Expands loop nests over the micro-ops on chip; equal nests once while the micro-ops stay.
class Nests {
 public:
  Nests(const Decoder& decoder, bool portable) : decoder_(decoder), portable_(portable) {}

  const Nest& of(const Instruction& in, const std::vector<MicroOp>& uops);
  void forget() { known_.clear(); }

 private:
  using Field = int32_t MicroOp::*;
  bool expand(const Instruction& in, const MicroOp* uops, int operand, Field field, int64_t outer,
              int64_t inner, int64_t depth, Nest& nest, Intervals& found);
  void repeat(int64_t step, int64_t count, int64_t largest);
  static void follow(const Instruction& in, const MicroOp* uops, Nest& nest);

  const Decoder& decoder_;
  const bool portable_;
  std::map<std::array<int32_t, 13>, Nest> known_;
  std::vector<uint8_t> marks_, once_;
};

}  // namespace codesign

#endif  // CODESIGN_SIM_NEST_H_
