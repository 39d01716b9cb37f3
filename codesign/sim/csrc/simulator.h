// The VTA machine: bit-exact results and exact cycles of one instruction stream, in one run.
//
// Semantics: VTA_SPEC.md sections 3 to 6, with the choices that ../README.md lists.
// Timing: VTA_TIMING.md, from event to event, never cycle by cycle.
#ifndef CODESIGN_SIM_SIMULATOR_H_
#define CODESIGN_SIM_SIMULATOR_H_

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace codesign {

// Parameters of one machine. Depths are log2 of elements, widths in bits, latencies in cycles.
struct Config {
  int64_t instruction_bytes, uop_bytes;
  int64_t log_uop_depth, log_inp_depth, log_wgt_depth, log_acc_depth;
  int64_t batch, block_in, block_out;
  int64_t inp_bits, wgt_bits, acc_bits;
  int64_t bus_bits, max_burst_beats;
  int64_t read_latency, write_address_latency, write_response_latency, outstanding_reads;
  int64_t has_mul, has_acc8;

  // Names of the fields, in the order that `from_values` takes them.
  static const std::vector<std::string>& field_names();
  // Checks every value; throws std::invalid_argument naming the field and what is allowed.
  static Config from_values(const int64_t* values, size_t count);

  int64_t bus_bytes() const { return bus_bits / 8; }
  int64_t burst_bytes() const { return bus_bytes() * max_burst_beats; }
  int64_t inp_lanes() const { return batch * block_in; }
  int64_t wgt_lanes() const { return block_in * block_out; }
  int64_t acc_lanes() const { return batch * block_out; }
};

// A program that the machine cannot run; the text names the instruction and the rule.
struct ProgramFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One executed instruction; `module` is 0 LOAD, 1 COMPUTE, 2 STORE. Cycles from launch;
// `end` is the first cycle in which the module may start its next instruction.
struct Span {
  int64_t module, enqueued, start, end;
};

struct RunResult {
  int64_t cycles = 0;  // launch to the execution of FINISH
  std::vector<std::pair<std::string, int64_t>> counters;
  std::vector<Span> timeline;  // by instruction index; empty unless asked for
};

// Runs `count` instructions.
//
// memory[0 .. memory_bytes) is DRAM from `base_address` on and is changed in place; with
// `timing_only` it is neither read nor written and may be null. `instruction_address` only
// places the fetch bursts: the instructions themselves come from `instructions`.
// Throws ProgramFault on an illegal program; memory may then hold partial results.
RunResult run(const Config& config, const uint8_t* instructions, size_t count, uint8_t* memory,
              size_t memory_bytes, uint64_t base_address, uint64_t instruction_address,
              bool timing_only, bool with_timeline = false);

struct Instruction;

// The cycles of `count` decoded instructions (isa.h), without computing.
RunResult run_timing(const Config& config, const Instruction* instructions, size_t count,
                     uint64_t instruction_address, bool with_timeline = false);

}  // namespace codesign

#endif  // CODESIGN_SIM_SIMULATOR_H_
