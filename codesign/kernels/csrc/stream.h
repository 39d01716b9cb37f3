// `Stream`: from loads, GEMM, ALU and stores to instructions with tokens and micro-ops.
//
// A program is a sequence of units, a unit a sequence of steps. A step loads operands that are not
// on chip yet, computes, and may store a finished tile. The three modules overlap through
// dependency tokens (VTA_SPEC.md 2.1), derived from the ranges that each part touches:
//
//  * a step that loads hands its operands to COMPUTE with one l2g token;
//  * a load waits (g2l) for the last step that read any element it overwrites;
//  * a step that writes accumulators waits (s2g) for their last store;
//  * a load of what an earlier unit stored waits for a COMPUTE no-op (g2l) that waits for the
//    store (s2g): there is no shorter way from STORE to LOAD.
//
// Waits are monotone, so each needs one token, pushed by exactly the instruction waited for. They
// go back in program order only, so that full instruction queues never lock up.
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

// Bytes of one element of a memory in DRAM.
int64_t element_bytes(const Config& config, int32_t memory);

// Elements of the on-chip memories: a base address, or a demand.
struct OnChip {
  int64_t inp = 0, wgt = 0, acc = 0;
};

// Bytes [begin, end) of DRAM.
struct DramRange {
  int64_t begin, end;
};

// A unit's place: where its slots begin, the address in DRAM of each `Buffer` (0 for what is placed
// later), and in a program of several units its input tensors.
struct Placement {
  OnChip base;
  std::vector<int64_t> buffers;
  std::vector<DramRange> inputs;
};

class Stream {
 public:
  explicit Stream(const Config& config);

  const Config& config() const { return config_; }
  // Micro-ops that fit on chip, on upstream's RTL too (VTA_SPEC.md 8).
  int64_t max_uops() const { return max_uops_; }
  // INP address of the constant element that biases are multiplied with.
  int64_t unit_element() const { return (int64_t{1} << config_.log_inp_depth) - 1; }
  bool has_unit_element() const { return unit_element_loaded_; }

  // The unit's micro-ops are loaded first, from the start of its constants, unless the same ones
  // are still on chip. Without a placement addresses stay relative to their buffers.
  void begin_unit(const Placement* placement = nullptr);
  // Returns the unit's micro-ops.
  std::vector<MicroOp> end_unit();
  // Elements that the unit touched, from its base on.
  const OnChip& demand() const { return demand_; }
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
  // Ends the step and begins another that may read what this one reads.
  void next_step();

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

 private:
  struct Load {
    Memory memory;
    int32_t buffer;
    Transfer transfer;
  };
  struct StoreWait {
    int32_t store, compute;
  };
  struct Resident {
    int64_t begin;
    std::vector<MicroOp> uops;
  };
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

  int32_t append(Instruction in, int32_t buffer);
  void issue_loads();
  void issue(const Load& load);
  int32_t last_store_of(const Load& load) const;
  int32_t after_store(int32_t store);
  void compute(const Instruction& in, bool main, int32_t buffer = kNoBuffer);
  Instruction loops(Opcode opcode, const Nest& nest, int64_t dst, int64_t src, int64_t wgt);
  void check_fields() const;

  const Config& config_;
  int64_t max_uops_;
  std::vector<Instruction> rows_;
  std::vector<int32_t> buffers_;

  // The unit under way.
  Placement placement_;
  OnChip demand_;
  bool unit_element_loaded_ = false, first_step_ = true;
  int32_t unit_begin_ = 0;
  std::vector<MicroOp> uops_;
  std::vector<MicroOps> kept_;  // the lists whose addresses `kernels_` knows
  std::unordered_map<Kernel, int32_t, KernelHash> kernels_;
  std::vector<Resident> resident_;  // micro-ops of earlier units that are still on chip

  // Of each element, the last instruction that read it (COMPUTE) or stored it (STORE); of each byte
  // of DRAM the last STORE.
  RangeMap inp_, wgt_, out_, dram_;
  int32_t waited_compute_ = -1, waited_store_ = -1;
  std::vector<StoreWait> store_waits_;   // COMPUTE's waits for stores, ascending
  std::vector<int32_t> loading_steps_;   // the last main instruction of each step with loads

  // The step under way: instruction indices, -1 for none.
  std::vector<Load> loads_;  // not issued yet
  int32_t last_load_ = -1, first_compute_ = -1, last_compute_ = -1, first_main_ = -1,
          last_main_ = -1, last_store_ = -1, start_after_ = -1;
  std::vector<Range> read_, stored_;
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_STREAM_H_
