// `Stream`: from loads, GEMM, ALU and stores to instructions with tokens and micro-ops.
//
// A unit is a sequence of steps. A step loads operands that are not on chip yet, computes, and may
// store a finished tile. The three modules overlap through dependency tokens (VTA_SPEC.md 2.1),
// which the stream derives from the ranges of on-chip elements that each part touches:
//
//  * a step that loads hands its operands to COMPUTE with one l2g token;
//  * a load waits (g2l) for the last step that read any element it overwrites;
//  * a step that writes accumulators waits (s2g) for their last store.
//
// Waits are monotone, so each needs one token, pushed by exactly the instruction waited for.
#ifndef CODESIGN_KERNELS_STREAM_H_
#define CODESIGN_KERNELS_STREAM_H_

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "isa.h"
#include "nest.h"
#include "range_map.h"

namespace codesign::units {

// DRAM buffer that an instruction's address is relative to; further inputs follow kInput.
enum Buffer : int32_t { kNoBuffer, kConstants, kOutput, kInput };

// Rows of a LOAD or STORE, in elements of its memory; x_stride 0 means x_size.
struct Transfer {
  int64_t sram, dram, x_size, y_size = 1, x_stride = 0;
  int64_t top = 0, left = 0, bottom = 0, right = 0;
};

class Stream {
 public:
  explicit Stream(const Config& config);

  const Config& config() const { return config_; }
  // Micro-ops that fit on chip, on upstream's RTL too (VTA_SPEC.md 8).
  int64_t max_uops() const { return max_uops_; }
  // INP address of the constant element that biases are multiplied with.
  int64_t unit_element() const { return (int64_t{1} << config_.log_inp_depth) - 1; }

  // The unit's micro-ops are loaded first, from the start of its constants.
  void begin_unit();
  void end_unit();
  // Ends the program with FINISH, which waits for the last store.
  void finish();

  // A load of accumulators by COMPUTE, before the unit's first step.
  void load_accumulators(int32_t buffer, const Transfer& transfer);

  // Parts of a step, in the order in which they are to be called. `pre` needs no operand of this
  // step, `main` does, `post` no longer needs any.
  void begin_step();
  void load(Memory memory, int32_t buffer, const Transfer& transfer);
  // On-chip elements that `main` reads, and that the step's computation writes.
  void reads(Memory memory, int64_t begin, int64_t end);
  void writes(int64_t begin, int64_t end);
  void pre(const Instruction& in) { compute(in, false); }
  void main(const Instruction& in) { compute(in, true); }
  void post(const Instruction& in) { compute(in, false); }
  void store(const Transfer& transfer);
  // Throws Infeasible where the micro-ops no longer fit.
  void end_step();

  // A GEMM of the nest at these bases; `reset` clears accumulators instead.
  Instruction gemm(const NestPtr& nest, int64_t dst, int64_t src = 0, int64_t wgt = 0,
                   bool reset = false);
  // A register operation, or an immediate one (then the nest has src steps = dst steps).
  Instruction alu(AluOp op, const Nest& nest, int64_t dst, int64_t src,
                  std::optional<int64_t> imm = std::nullopt);

  // `plan` for this machine; throws Infeasible where none fits.
  NestPtr planned(const Dims& dims) const { return require(plan(dims, max_uops_)); }
  NestPtr require(NestPtr nest) const;

  const std::vector<Instruction>& instructions() const { return rows_; }
  const std::vector<int32_t>& buffers() const { return buffers_; }
  const std::vector<MicroOp>& uops() const { return uops_; }

 private:
  struct Kernel {
    const void* uops;
    int64_t dst, src, wgt;
    bool operator==(const Kernel& o) const {
      return uops == o.uops && dst == o.dst && src == o.src && wgt == o.wgt;
    }
  };
  struct KernelHash {
    size_t operator()(const Kernel& k) const;
  };
  struct Range {
    Memory memory;
    int64_t begin, end;
  };

  int32_t append(const Instruction& in, int32_t buffer);
  void compute(const Instruction& in, bool main);
  Instruction loops(Opcode opcode, const Nest& nest, int64_t dst, int64_t src, int64_t wgt);
  void check_fields() const;

  const Config& config_;
  int64_t max_uops_;
  std::vector<Instruction> rows_;
  std::vector<int32_t> buffers_;
  std::vector<MicroOp> uops_;
  std::vector<MicroOps> kept_;  // the lists whose addresses `kernels_` knows
  std::unordered_map<Kernel, int32_t, KernelHash> kernels_;
  int32_t uop_load_ = -1;

  // Of each element, the last instruction that read it (COMPUTE) or stored it (STORE).
  RangeMap inp_, wgt_, out_;
  int32_t waited_compute_ = -1, waited_store_ = -1;

  // The step under way: instruction indices, -1 for none.
  int32_t last_load_ = -1, first_compute_ = -1, last_compute_ = -1, first_main_ = -1,
          last_main_ = -1, last_store_ = -1, start_after_ = -1;
  std::vector<Range> read_, stored_;
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_STREAM_H_
