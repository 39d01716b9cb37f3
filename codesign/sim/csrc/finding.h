// What the checker reports; codesign/isa/rules.py words it.
#ifndef CODESIGN_SIM_FINDING_H_
#define CODESIGN_SIM_FINDING_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace codesign {

// In the alphabetical order of their keys, by which findings are sorted.
enum class Rule : int32_t {
  kAcc8, kAddress, kAluOpcode, kAluReset, kAluWgt, kDeadlock, kDramHazard, kDramRange,
  kFeatureAcc8, kFeatureMul, kFinishLast, kFinishOrder, kHazard, kImmOperand, kImmOperandUop,
  kIndexRange, kLoopBounds, kMemoryType, kMul, kNoopPads, kOpcode, kReservedBits, kReuseDistance,
  kReuseDistanceSrc, kShift, kShiftImm, kSramFootprint, kStaleStore, kStorePads, kTokenBalance,
  kTokenBits, kTokenOverflow, kUninitialised, kUninitialisedUop, kUop2d, kUopDepth, kUopRange,
  kWgtPads, kYSize, kRules
};

// Keys of the rules in codesign/isa/rules.py.
constexpr const char* kRuleKeys[static_cast<int>(Rule::kRules)] = {
    "acc8", "address", "alu_opcode", "alu_reset", "alu_wgt", "deadlock", "dram_hazard",
    "dram_range", "feature_acc8", "feature_mul", "finish_last", "finish_order", "hazard",
    "imm_operand", "imm_operand_uop", "index_range", "loop_bounds", "memory_type", "mul",
    "noop_pads", "opcode", "reserved_bits", "reuse_distance", "reuse_distance_src", "shift",
    "shift_imm", "sram_footprint", "stale_store", "store_pads", "token_balance", "token_bits",
    "token_overflow", "uninitialised", "uninitialised_uop", "uop_2d", "uop_depth", "uop_range",
    "wgt_pads", "y_size"};

constexpr int kFindingValues = 8;

// One broken rule at one instruction, with the numbers that its text names.
struct Finding {
  int64_t index, rule;
  std::array<int64_t, kFindingValues> values;
};

class Findings {
 public:
  void report(int64_t index, Rule rule, std::initializer_list<int64_t> values = {}) {
    Finding finding{index, static_cast<int64_t>(rule), {}};
    size_t at = 0;
    for (const int64_t value : values) finding.values[at++] = value;
    list.push_back(finding);
  }

  std::vector<Finding> list;
};

}  // namespace codesign

#endif  // CODESIGN_SIM_FINDING_H_
