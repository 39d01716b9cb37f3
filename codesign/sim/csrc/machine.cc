// The event loop: the order of events inside a cycle is that of VTA_TIMING.md 8.5.
#include <array>
#include <memory>

#include "fetch.h"
#include "isa.h"
#include "simulator.h"
#include "state.h"
#include "transfer.h"

namespace codesign {
namespace {

constexpr size_t kQueueEntries = 512;
constexpr int64_t kTokenLimit = 255;
constexpr int64_t kPipelineCycles = 7, kControlCycles = 2;
enum Token { kL2g, kG2l, kG2s, kS2g, kTokens };
constexpr Token kNone = kTokens;
// By module: the counters that the prev and next bits stand for (VTA_SPEC.md 2.1).
constexpr Token kPopPrev[kModules] = {kNone, kL2g, kG2s}, kPopNext[kModules] = {kG2l, kS2g, kNone};
constexpr Token kPushPrev[kModules] = {kNone, kG2l, kS2g}, kPushNext[kModules] = {kL2g, kG2s, kNone};
constexpr const char* kTokenNames[kTokens] = {"LOAD to COMPUTE", "COMPUTE to LOAD",
                                              "COMPUTE to STORE", "STORE to COMPUTE"};
constexpr const char* kModuleNames[kModules] = {"LOAD", "COMPUTE", "STORE"};

struct Entry {
  Instruction in;
  int64_t index, enqueued;
  int64_t blocked;  // cycles before `enqueued` in which fetch waited for room in a queue
};

// Cycles in which a module does not work, by reason (README.md).
struct Stalls {
  int64_t token = 0, fetch = 0, queue = 0, bus = 0, finished = 0;
};

// One module: its instruction queue, whose head stays until it completes, and its state.
struct Unit {
  std::array<Entry, kQueueEntries> ring;
  size_t head = 0, size = 0;
  bool busy = false;
  int64_t start = 0, free = kNever, busy_cycles = 0;
  int64_t idle_from = 0, idle_blocked = 0;  // since when idle; Entry::blocked of that cycle
  Stalls stalls;
  LoadTransfer load;

  Entry& front() { return ring[head]; }
  bool full() const { return size == kQueueEntries; }
  void push(const Entry& entry) { ring[(head + size++) % kQueueEntries] = entry; }
  void pop() { head = (head + 1) % kQueueEntries, --size; }
};

struct Counts {
  int64_t gemm_uops = 0, gemm_reset_uops = 0, alu_uops = 0, gemm_instructions = 0,
          alu_instructions = 0, noops = 0, write_beats = 0, write_bursts = 0, read_rows = 0,
          write_rows = 0;
  std::array<int64_t, 6> bytes{};  // by memory type
};

class Machine {
 public:
  // The program is `instructions`, encoded, or where that is null `decoded`.
  Machine(const Config& config, const uint8_t* instructions, const Instruction* decoded,
          int64_t count, uint64_t address, State* state, const Decoder& decoder,
          std::vector<Span>* timeline)
      : config_(config), decoder_(decoder), instructions_(instructions), program_(decoded),
        count_(count), state_(state), timeline_(timeline), bus_(config),
        fetch_(config, count, address) {}

  void run() {
    for (int64_t now = 1; now != kNever; now = next_event(now)) {
      for (int m = 0; m < kModules; ++m) {
        if (units_[m].free == now) complete(m, now);
      }
      for (int m = 0; m < kModules; ++m) try_start(m, now);
      enqueue(now);
      request(now);
    }
    if (completed_ < count_) report_deadlock();
    for (int t = 0; t < kTokens; ++t) {
      if (tokens_[t] == 0) continue;
      fault(count_ - 1, "token_balance",
            std::to_string(tokens_[t]) + " tokens " + kTokenNames[t] +
                " are left at the end; allowed: 0; pop every token that is pushed");
    }
  }

  int64_t cycles() const { return cycles_; }

  std::vector<std::pair<std::string, int64_t>> counters() const {
    const auto& b = counts_.bytes;
    const int64_t lanes = config_.batch * config_.block_in * config_.block_out;
    std::vector<std::pair<std::string, int64_t>> all = {{"cycles", cycles_},
            {"instructions", count_},
            {"gemm_instructions", counts_.gemm_instructions},
            {"alu_instructions", counts_.alu_instructions},
            {"noop_instructions", counts_.noops},
            {"gemm_uops", counts_.gemm_uops},
            {"gemm_reset_uops", counts_.gemm_reset_uops},
            {"alu_uops", counts_.alu_uops},
            {"inp_load_bytes", b[kInp]},
            {"wgt_load_bytes", b[kWgt]},
            {"acc_load_bytes", b[kAcc] + b[kAcc8]},
            {"uop_load_bytes", b[kUop]},
            {"out_store_bytes", b[kOut]},
            {"fetch_bytes", count_ * config_.instruction_bytes},
            {"gemm_macs", counts_.gemm_uops * lanes},
            {"read_beats", bus_.total_beats()},
            {"read_bursts", bus_.total_bursts()},
            {"read_rows", counts_.read_rows},
            {"write_beats", counts_.write_beats},
            {"write_bursts", counts_.write_bursts},
            {"write_rows", counts_.write_rows},
            {"fetch_queue_stall_cycles", blocked_cycles_}};
    constexpr const char* kPrefixes[kModules] = {"load", "compute", "store"};
    for (int m = 0; m < kModules; ++m) {
      const std::string prefix = kPrefixes[m];
      const Stalls& stalls = units_[m].stalls;
      all.push_back({prefix + "_busy_cycles", units_[m].busy_cycles});
      all.push_back({prefix + "_token_stall_cycles", stalls.token});
      all.push_back({prefix + "_fetch_stall_cycles", stalls.fetch});
      all.push_back({prefix + "_queue_stall_cycles", stalls.queue});
      all.push_back({prefix + "_bus_stall_cycles", stalls.bus});
      all.push_back({prefix + "_finished_cycles", stalls.finished});
    }
    return all;
  }

 private:
  void complete(int m, int64_t now) {
    Unit& unit = units_[m];
    const Entry& entry = unit.front();
    if (entry.in.push_prev) push(kPushPrev[m], entry.index);
    if (entry.in.push_next) push(kPushNext[m], entry.index);
    unit.busy_cycles += now - unit.start;
    if (timeline_) (*timeline_)[entry.index] = {m, entry.enqueued, unit.start, now};
    unit.busy = false;
    unit.free = kNever;
    unit.idle_from = now;
    unit.idle_blocked = blocked_before(now);
    unit.pop();
    ++completed_;
  }

  void push(Token token, int64_t index) {
    if (++tokens_[token] > kTokenLimit) {
      fault(index, "token_overflow",
            std::string("more than 255 tokens ") + kTokenNames[token] +
                " wait; allowed: 255; let the other module pop some before");
    }
  }

  bool popped_ready(bool wanted, Token token) const { return !wanted || tokens_[token] > 0; }

  void try_start(int m, int64_t now) {
    Unit& unit = units_[m];
    if (unit.busy || unit.size == 0 || unit.front().enqueued >= now) return;
    const Entry& entry = unit.front();
    const Instruction& in = entry.in;
    if (!popped_ready(in.pop_prev, kPopPrev[m]) || !popped_ready(in.pop_next, kPopNext[m])) return;
    if (in.pop_prev) --tokens_[kPopPrev[m]];
    if (in.pop_next) --tokens_[kPopNext[m]];
    account_idle(unit, entry, now);
    unit.busy = true;
    unit.start = now;
    if (state_) state_->execute(in, entry.index);
    unit.free = begin(unit, entry, now);
  }

  // Cycles before `now` in which fetch had an instruction ready and its queue was full.
  int64_t blocked_before(int64_t now) const {
    return blocked_cycles_ + (blocked_on_ ? now - blocked_since_ : 0);
  }

  // The module was idle since idle_from: first without an instruction, then without a token.
  void account_idle(Unit& unit, const Entry& entry, int64_t now) {
    int64_t waiting_from = unit.idle_from;
    if (entry.enqueued >= unit.idle_from) {
      waiting_from = entry.enqueued + 1;
      const int64_t queue = entry.blocked - unit.idle_blocked;
      unit.stalls.queue += queue;
      unit.stalls.fetch += waiting_from - unit.idle_from - queue;
    }
    unit.stalls.token += now - waiting_from;
  }

  // Starts the timing of an instruction; returns the cycle its module is free, kNever for a LOAD.
  int64_t begin(Unit& unit, const Entry& entry, int64_t now) {
    const Instruction& in = entry.in;
    if (in.opcode == kFinish) {
      finish(entry.index, now);
      return now + kControlCycles;
    }
    if (in.is_noop()) {
      ++counts_.noops;
      return now + kControlCycles;
    }
    if (in.opcode == kGemm) {
      ++counts_.gemm_instructions;
      (in.reset ? counts_.gemm_reset_uops : counts_.gemm_uops) += in.micro_ops();
      return now + in.micro_ops() + kPipelineCycles;
    }
    if (in.opcode == kAlu) {
      ++counts_.alu_instructions;
      counts_.alu_uops += in.micro_ops();
      return now + in.micro_ops() * (in.use_imm ? 1 : 2) + kPipelineCycles;
    }
    const int64_t size = decoder_.element_bytes(in.memory_type);
    counts_.bytes[in.memory_type] += int64_t{in.y_size} * in.x_size * size;
    if (in.opcode == kStore) {
      const StoreTiming timing = store_timing(config_, in, size);
      counts_.write_beats += timing.beats;
      counts_.write_bursts += timing.bursts;
      counts_.write_rows += in.y_size;
      unit.stalls.bus += timing.cycles - timing.beats;
      return now + timing.cycles;
    }
    counts_.read_rows += in.y_size;
    unit.load.begin(config_, in, size, now);
    return kNever;
  }

  void finish(int64_t index, int64_t now) {
    cycles_ = now + 1;
    if (completed_ == index) {
      for (int m : {kLoadModule, kStoreModule}) {
        units_[m].stalls.finished = cycles_ - units_[m].idle_from;
      }
      return;
    }
    for (int m = 0; m < kModules; ++m) {
      Unit& unit = units_[m];
      if (m == kComputeModule || unit.size == 0) continue;
      fault(index, "finish_order",
            "FINISH executes while " + std::string(kModuleNames[m]) + " instruction " +
                std::to_string(unit.front().index) +
                " is outstanding; wait for its token in COMPUTE before FINISH");
    }
  }

  Instruction instruction(int64_t index) const {
    if (instructions_) {
      return decoder_.decode(instructions_ + index * config_.instruction_bytes, index);
    }
    decoder_.check(program_[index], index);
    return program_[index];
  }

  void enqueue(int64_t now) {
    if (fetch_.dispatch_at() > now) return;
    const int64_t index = fetch_.next();
    if (decoded_ != index) {
      pending_ = {instruction(index), index, 0, 0};
      decoded_ = index;
      if ((pending_.in.opcode == kFinish) != (index == count_ - 1)) {
        fault(index, "finish_last", "FINISH must be the last instruction, exactly once");
      }
    }
    Unit& unit = units_[pending_.in.module()];
    if (unit.full()) {
      if (!blocked_on_) blocked_since_ = now;
      blocked_on_ = &unit;
      return;
    }
    blocked_cycles_ = blocked_before(now);
    blocked_on_ = nullptr;
    pending_.enqueued = now;
    pending_.blocked = blocked_cycles_;
    unit.push(pending_);
    fetch_.dispatched(now);
  }

  void request(int64_t now) {
    if (!bus_.ready(now)) return;
    if (fetch_.requesting() && fetch_.request_ready() <= now) return fetch_.issue(bus_, now);
    Unit* chosen = nullptr;
    for (int m : {kLoadModule, kComputeModule}) {
      Unit& unit = units_[m];
      if (!unit.load.active() || unit.load.ready() > now) continue;
      if (!chosen || priority(unit) < priority(*chosen)) chosen = &unit;
    }
    if (!chosen) return;
    chosen->free = chosen->load.issue(bus_, now);
    if (chosen->free != kNever) {
      chosen->stalls.bus += chosen->free - chosen->start - chosen->load.writes();
    }
  }

  static int priority(const Unit& unit) {
    constexpr int kPriority[6] = {1, 3, 2, 4, 5, 4};  // uop, inp, wgt, acc
    return kPriority[unit.load.memory_type()];
  }

  int64_t next_event(int64_t now) const {
    int64_t next = kNever, wanted = kNever;
    for (const Unit& unit : units_) {
      if (unit.busy) next = std::min(next, unit.free);
      if (!unit.busy && unit.size > 0 && unit.ring[unit.head].enqueued == now) next = now + 1;
      if (unit.load.active()) wanted = std::min(wanted, unit.load.ready());
    }
    if (fetch_.dispatch_at() != kNever && !(blocked_on_ && blocked_on_->full())) {
      next = std::min(next, std::max(now + 1, fetch_.dispatch_at()));
    }
    if (fetch_.requesting()) wanted = std::min(wanted, fetch_.request_ready());
    if (wanted != kNever) next = std::min(next, bus_.earliest(std::max(now + 1, wanted)));
    return next;
  }

  [[noreturn]] void report_deadlock() {
    std::string text = "no module can go on";
    int64_t first = fetch_.next();
    for (int m = 0; m < kModules; ++m) {
      Unit& unit = units_[m];
      if (unit.size == 0) continue;
      const Entry& entry = unit.front();
      first = std::min(first, entry.index);
      const bool prev = entry.in.pop_prev && tokens_[kPopPrev[m]] == 0;
      text += std::string("; ") + kModuleNames[m] + " waits at instruction " +
              std::to_string(entry.index) + " for a token " +
              kTokenNames[prev ? kPopPrev[m] : kPopNext[m]];
    }
    if (fetch_.next() < count_) {
      text += "; fetch waits at instruction " + std::to_string(fetch_.next()) +
              " for room in a queue of 512";
    }
    fault(first, "deadlock", text + "; push the missing tokens earlier");
  }

  const Config& config_;
  const Decoder& decoder_;
  const uint8_t* instructions_;
  const Instruction* program_;
  int64_t count_;
  State* state_;
  std::vector<Span>* timeline_;
  ReadBus bus_;
  Fetch fetch_;
  std::array<Unit, kModules> units_;
  std::array<int64_t, kTokens + 1> tokens_{};
  Entry pending_{};
  int64_t decoded_ = -1, completed_ = 0, cycles_ = 0, blocked_cycles_ = 0, blocked_since_ = 0;
  Unit* blocked_on_ = nullptr;
  Counts counts_;
};

RunResult run_machine(Machine& machine) {
  machine.run();
  RunResult result;
  result.cycles = machine.cycles();
  result.counters = machine.counters();
  return result;
}

}  // namespace

RunResult run_timing(const Config& config, const Instruction* instructions, size_t count,
                     uint64_t instruction_address, bool with_timeline) {
  if (count == 0) throw ProgramFault("the program is empty; allowed: at least FINISH");
  const Decoder decoder(config);
  std::vector<Span> timeline(with_timeline ? count : 0);
  const auto machine = std::make_unique<Machine>(
      config, nullptr, instructions, static_cast<int64_t>(count), instruction_address, nullptr,
      decoder, with_timeline ? &timeline : nullptr);
  RunResult result = run_machine(*machine);
  result.timeline = std::move(timeline);
  return result;
}

RunResult run(const Config& config, const uint8_t* instructions, size_t count, uint8_t* memory,
              size_t memory_bytes, uint64_t base_address, uint64_t instruction_address,
              bool timing_only, bool with_timeline) {
  if (count == 0) throw ProgramFault("the program is empty; allowed: at least FINISH");
  const Decoder decoder(config);
  std::unique_ptr<State> state;
  if (!timing_only) {
    state = std::make_unique<State>(config, decoder, memory, memory_bytes, base_address);
  }
  std::vector<Span> timeline(with_timeline ? count : 0);
  const auto machine = std::make_unique<Machine>(
      config, instructions, nullptr, static_cast<int64_t>(count), instruction_address, state.get(),
      decoder, with_timeline ? &timeline : nullptr);
  RunResult result = run_machine(*machine);
  result.timeline = std::move(timeline);
  return result;
}

}  // namespace codesign
