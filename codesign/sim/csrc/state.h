// The on-chip memories and what each instruction does to them and to DRAM (VTA_SPEC.md 5 and 6).
#ifndef CODESIGN_SIM_STATE_H_
#define CODESIGN_SIM_STATE_H_

#include <cstdint>
#include <vector>

#include "gemm_plan.h"
#include "isa.h"

namespace codesign {

// INP and WGT lanes are kept as int16 in the layouts of kernels.h, OUT lanes as int8.
class State {
 public:
  State(const Config& config, const Decoder& decoder, uint8_t* memory, size_t memory_bytes,
        uint64_t base_address);

  // Applies the whole effect of one instruction that Decoder::decode accepted.
  void execute(const Instruction& in, int64_t index);

 private:
  void load(const Instruction& in, int64_t index);
  void store(const Instruction& in, int64_t index);
  void gemm(const Instruction& in, int64_t index);
  void alu(const Instruction& in, int64_t index);
  void load_elements(int32_t memory_type, int64_t sram, const uint8_t* from, int64_t count);
  void load_inp(int64_t sram, const uint8_t* from, int64_t count);
  void load_wgt(int64_t sram, const uint8_t* from, int64_t count);
  void clear_elements(int32_t memory_type, int64_t sram, int64_t count);
  uint8_t* dram(const Instruction& in, int64_t index);
  void check_indices(const Instruction& in, int64_t index, const char* name, int32_t MicroOp::*field,
                     int32_t factor_out, int32_t factor_in, int64_t depth) const;

  const Config& config_;
  const Decoder& decoder_;
  uint8_t* memory_;
  uint64_t memory_bytes_, base_address_;
  int64_t pairs_, inp_lanes_, wgt_lanes_;  // as kept, pairs of input channels
  std::vector<MicroOp> uop_;
  std::vector<int16_t> inp_, wgt_;
  std::vector<int8_t> lanes_;  // scratch: one element unpacked
  std::vector<int32_t> acc_;
  std::vector<int8_t> out_;
  GemmPlan plan_;
};

}  // namespace codesign

#endif  // CODESIGN_SIM_STATE_H_
