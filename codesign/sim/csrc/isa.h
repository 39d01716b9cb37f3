// Decoded instructions and micro-ops (VTA_SPEC.md sections 3 and 4).
#ifndef CODESIGN_SIM_ISA_H_
#define CODESIGN_SIM_ISA_H_

#include <cstdint>
#include <string>

#include "micro_op.h"
#include "simulator.h"

namespace codesign {

enum Opcode : int32_t { kLoad = 0, kStore = 1, kGemm = 2, kFinish = 3, kAlu = 4 };
enum Memory : int32_t { kUop = 0, kWgt = 1, kInp = 2, kAcc = 3, kOut = 4, kAcc8 = 5 };
enum AluOp : int32_t { kMin = 0, kMax = 1, kAdd = 2, kShr = 3, kMul = 4 };
enum Module : int32_t { kLoadModule = 0, kComputeModule = 1, kStoreModule = 2 };
constexpr int kModules = 3;

struct Instruction {
  int32_t opcode;
  bool pop_prev, pop_next, push_prev, push_next;
  // LOAD and STORE
  int32_t memory_type, sram_base;
  int64_t dram_base;
  int32_t y_size, x_size, x_stride, y_pad_0, y_pad_1, x_pad_0, x_pad_1;
  // GEMM and ALU
  bool reset, use_imm;
  int32_t uop_bgn, uop_end, iter_out, iter_in;
  int32_t dst_factor_out, dst_factor_in, src_factor_out, src_factor_in;
  int32_t wgt_factor_out, wgt_factor_in, alu_opcode, imm;

  Module module() const {
    if (opcode == kStore) return kStoreModule;
    const bool load = opcode == kLoad && (memory_type == kInp || memory_type == kWgt);
    return load ? kLoadModule : kComputeModule;
  }
  bool is_noop() const { return opcode <= kStore && x_size == 0; }
  int64_t micro_ops() const { return int64_t{iter_out} * iter_in * (uop_end - uop_bgn); }
};

// Where the configuration places the fields; built once per run.
class Decoder {
 public:
  explicit Decoder(const Config& config);

  // What the bytes say; an unknown opcode leaves the fields behind the header 0.
  Instruction fields(const uint8_t* bytes) const;
  // `fields` of instruction `index`, checked by every rule that needs neither SRAM nor DRAM contents.
  Instruction decode(const uint8_t* bytes, int64_t index) const;
  // The same checks of a decoded instruction, whose fields are taken to fit their widths.
  void check(const Instruction& in, int64_t index) const;
  MicroOp decode_uop(const uint8_t* bytes) const;
  // Whether all bits outside the fields of the instruction's opcode are 0.
  bool reserved_bits_clear(const uint8_t* bytes) const;

  int64_t element_bytes(int32_t memory_type) const { return element_bytes_[memory_type]; }
  int64_t depth(int32_t memory_type) const { return depth_[memory_type]; }

 private:
  struct Slot {
    int32_t word, shift;
    uint64_t mask;
  };
  void check_transfer(const Instruction& in, int64_t index) const;
  void check_loops(const Instruction& in, int64_t index) const;

  const Config& config_;
  Slot gemm_[16], alu_[17];
  Slot uop_[3];
  uint64_t used_[5][4];  // bits of the fields, by opcode
  int64_t element_bytes_[6], depth_[6];
};

// Throws ProgramFault "instruction <index>: <rule>: <text>".
[[noreturn]] void fault(int64_t index, const char* rule, const std::string& text);

}  // namespace codesign

#endif  // CODESIGN_SIM_ISA_H_
