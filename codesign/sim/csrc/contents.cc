#include "contents.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "nest.h"

namespace codesign {
namespace {

// How a hazard's text begins.
enum Verb { kReads, kOverwrites, kChanges };

// Accesses are kept as 1 + position in their module, 0 for none.
using Positions = std::vector<int32_t>;

// Last writer and reader of each element of an on-chip memory.
struct Memo {
  Memo(Memory memory, int64_t elements) : memory(memory), writer(elements), reader(elements) {}
  const Memory memory;
  Positions writer, reader;
};

int32_t latest(const int32_t* positions, const Interval& where) {
  int32_t found = 0;
  for (int64_t i = where.begin; i < where.end; ++i) found = std::max(found, positions[i]);
  return found;
}

int32_t latest(const Positions& positions, const Intervals& where) {
  int32_t found = 0;
  for (const Interval& part : where) found = std::max(found, latest(positions.data(), part));
  return found;
}

// The first element that is 0, or -1.
template <class T>
int64_t first_zero(const std::vector<T>& values, const Intervals& where) {
  for (const Interval& part : where) {
    const auto end = values.begin() + part.end;
    const auto at = std::find(values.begin() + part.begin, end, T{0});
    if (at != end) return at - values.begin();
  }
  return -1;
}

template <>
int64_t first_zero(const std::vector<uint8_t>& flags, const Intervals& where) {
  for (const Interval& part : where) {
    const void* at = std::memchr(&flags[part.begin], 0, part.end - part.begin);
    if (at) return static_cast<const uint8_t*>(at) - flags.data();
  }
  return -1;
}

template <class T, class V>
void fill(std::vector<T>& values, const Intervals& where, V value) {
  for (const Interval& part : where) {
    std::fill(values.begin() + part.begin, values.begin() + part.end, static_cast<T>(value));
  }
}

// Last accesses of the modules to the DRAM that any STORE writes; other bytes cannot conflict.
class DramMemo {
 public:
  DramMemo(const Decoder& decoder, const std::vector<Instruction>& program) : decoder_(decoder) {
    int64_t high = 0;
    low_ = INT64_MAX;
    granule_ = decoder.element_bytes(kOut);
    for (const Instruction& in : program) {
      if (in.opcode != kStore || in.is_noop()) continue;
      low_ = std::min(low_, in.dram_base * granule_);
      high = std::max(high, in.dram_base * granule_ + span_bytes(in, granule_));
    }
    if (high == 0) return;
    granules_ = (high - low_) / granule_;
    stored_.resize(granules_);
    for (const Instruction& in : program) {
      if (in.opcode != kStore || in.is_noop()) continue;
      for (int64_t y = 0; y < in.y_size; ++y) {
        const auto row = stored_.begin() + (in.dram_base + y * in.x_stride) - low_ / granule_;
        std::fill(row, row + in.x_size, 1);
      }
    }
    out_bytes_ = granule_;
    refine(program);
    for (auto& last : last_) {
      last.reset(static_cast<int32_t*>(std::calloc(granules_, sizeof(int32_t))));
      if (!last) throw std::bad_alloc();
    }
  }

  // Sizes are powers of two: where a load touches a part of a stored granule only, its element's
  // size does for all.
  void refine(const std::vector<Instruction>& program) {
    const auto splits = [&](int64_t address) {
      const int64_t at = address - low_;
      return at % granule_ && at > 0 && at < granules_ * granule_ && stored_[at / granule_];
    };
    int64_t smallest = granule_;
    for (const Instruction& in : program) {
      if (in.opcode != kLoad || in.is_noop()) continue;
      const int64_t size = decoder_.element_bytes(in.memory_type);
      for (int64_t y = 0; size < smallest && y < in.y_size; ++y) {
        const int64_t row = (in.dram_base + y * in.x_stride) * size;
        if (splits(row) || splits(row + in.x_size * size)) smallest = size;
      }
    }
    granules_ *= granule_ / smallest;
    granule_ = smallest;
  }

  // Records the access at `position`; (module, 1 + position) of an earlier one that the tokens
  // do not order before it, or (-1, 0).
  std::pair<int, int32_t> access(const Instruction& in, int32_t position, const Clock& clock) {
    std::pair<int, int32_t> found = {-1, 0};
    const int64_t size = decoder_.element_bytes(in.memory_type);
    const int64_t begin = in.dram_base * size - low_;
    if (granules_ == 0 || begin + span_bytes(in, size) <= 0 || begin >= granules_ * granule_) {
      return found;
    }
    const Module module = in.module();
    int32_t conflicts[kModules] = {};
    const auto look = [&](int other, const Interval& where) {
      conflicts[other] = std::max(conflicts[other], latest(last_[other].get(), where));
    };
    for (int64_t y = 0; y < in.y_size; ++y) {
      const int64_t row = begin + y * in.x_stride * size;
      const int64_t end = row + in.x_size * size + granule_ - 1;
      const Interval where = {std::max<int64_t>(0, row) / granule_,
                              std::min(granules_, end / granule_)};
      if (row + in.x_size * size <= 0 || where.begin >= where.end) continue;
      const int64_t first = where.begin * granule_ / out_bytes_;
      const int64_t last = (where.end * granule_ - 1) / out_bytes_;
      if (!std::memchr(&stored_[first], 1, last - first + 1)) continue;
      if (module == kStoreModule) {
        look(kLoadModule, where), look(kComputeModule, where);
      } else {
        look(kStoreModule, where);
      }
      std::fill(&last_[module][where.begin], &last_[module][0] + where.end, position);
    }
    for (int other = 0; other < kModules; ++other) {
      if (conflicts[other] > clock[other]) found = {other, conflicts[other]};
    }
    return found;
  }

 private:
  const Decoder& decoder_;
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  int64_t granule_ = 1, low_ = 0, granules_ = 0, out_bytes_ = 1;
  std::vector<uint8_t> stored_;                   // by OUT element: whether some STORE writes it
  std::unique_ptr<int32_t[], Free> last_[kModules];  // positions; pages come when touched
};

// Follows the instructions in one legal order.
class Walk {
 public:
  Walk(const Config& config, const Decoder& decoder, const std::vector<Instruction>& program,
       const Play& play, const Dram& dram, bool portable, Findings& findings)
      : config_(config), decoder_(decoder), program_(program), play_(play), dram_(dram),
        portable_(portable), findings_(findings), inp_(kInp, decoder.depth(kInp)),
        wgt_(kWgt, decoder.depth(kWgt)), out_(kOut, decoder.depth(kOut)),
        acc_set_(decoder.depth(kAcc)), out_fresh_(decoder.depth(kOut)),
        uops_(decoder.depth(kUop)), uop_set_(decoder.depth(kUop)), stored_(decoder, program),
        nests_(decoder, portable) {
    for (size_t i = 0; i < program.size(); ++i) {
      members_[program[i].module()].push_back(static_cast<int64_t>(i));
    }
  }

  void run() {
    int32_t counts[kModules] = {};
    for (const int32_t index : play_.order) {
      const Instruction& in = program_[index];
      index_ = index;
      position_ = ++counts[in.module()];
      clock_ = &play_.clocks[index];
      if (in.opcode == kFinish || in.is_noop()) continue;
      if (in.opcode > kStore) {
        loops(in);
        continue;
      }
      const auto [module, position] = stored_.access(in, position_, *clock_);
      if (module >= 0) report(Rule::kDramHazard, {members_[module][position - 1]});
      in.opcode == kStore ? store(in) : load(in);
    }
  }

 private:
  void report(Rule rule, std::initializer_list<int64_t> values = {}) {
    findings_.report(index_, rule, values);
  }

  // Reports an access whose latest partner in another module the tokens do not order before.
  void order(const Positions& positions, const Intervals& where, Module other, Verb verb,
             Memory memory) {
    const int32_t found = latest(positions, where);
    if (found > (*clock_)[other]) {
      report(Rule::kHazard, {verb, memory, members_[other][found - 1]});
    }
  }

  void load(const Instruction& in) {
    const int64_t pitch = in.x_pad_0 + in.x_size + in.x_pad_1;
    const int64_t rows = in.y_pad_0 + in.y_size + in.y_pad_1;
    const Intervals where = {{in.sram_base, in.sram_base + pitch * rows}};
    if (in.memory_type == kUop) return load_uops(in, pitch, where);
    if (in.memory_type == kAcc || in.memory_type == kAcc8) return refill(where);
    Memo& memo = in.memory_type == kInp ? inp_ : wgt_;
    order(memo.reader, where, kComputeModule, kOverwrites, memo.memory);
    fill(memo.writer, where, position_);
  }

  void load_uops(const Instruction& in, int64_t pitch, const Intervals& where) {
    fill(uops_, where, MicroOp{});
    fill(uop_set_, where, 1);
    const int64_t size = config_.uop_bytes;
    for (int64_t y = 0; y < in.y_size; ++y) {
      const uint8_t* from = dram_.bytes + ((in.dram_base + y * in.x_stride) * size - dram_.base);
      MicroOp* to = &uops_[in.sram_base + (in.y_pad_0 + y) * pitch + in.x_pad_0];
      for (int64_t x = 0; x < in.x_size; ++x) to[x] = decoder_.decode_uop(from + x * size);
    }
    nests_.forget();
  }

  // ACC changes behind OUT's back: by LOAD, or by GEMM with reset. Upstream's functional
  // simulator stores from ACC, so that its pending stores see the change.
  void refill(const Intervals& where) {
    if (portable_) order(out_.reader, where, kStoreModule, kChanges, kOut);
    fill(acc_set_, where, 1);
    fill(out_fresh_, where, 0);
  }

  void store(const Instruction& in) {
    const Intervals where = {{in.sram_base, in.sram_base + int64_t{in.x_size} * in.y_size}};
    const int64_t stale = first_zero(out_fresh_, where);
    if (stale >= 0) {
      const auto begin = out_fresh_.begin();
      report(Rule::kStaleStore,
             {std::count(begin + stale, begin + where[0].end, uint8_t{0}), stale});
    }
    order(out_.writer, where, kComputeModule, kReads, kOut);
    fill(out_.reader, where, position_);
  }

  void loops(const Instruction& in) {
    const int64_t missing = first_zero(uop_set_, {{in.uop_bgn, in.uop_end}});
    if (missing >= 0) return report(Rule::kUninitialisedUop, {missing});
    const Nest& nest = nests_.of(in, uops_);
    if (nest.operand >= 0) {
      return report(Rule::kIndexRange, {nest.operand, nest.reach, nest.limit});
    }
    const bool gemm = in.opcode == kGemm;
    if (gemm && in.reset) {
      refill(nest.dst);
    } else {
      if (gemm) read(inp_, nest.src), read(wgt_, nest.wgt);
      initialised(acc_set_, nest.dst, kAcc);
      if (!gemm && !in.use_imm) initialised(acc_set_, nest.src, kAcc);
      order(out_.reader, nest.dst, kStoreModule, kOverwrites, kOut);
      fill(out_.writer, nest.dst, position_);
      fill(acc_set_, nest.dst, 1);
      fill(out_fresh_, nest.dst, 1);
    }
    if (nest.repeats_dst) report(Rule::kReuseDistance);
    if (nest.reads_recent) report(Rule::kReuseDistanceSrc);
    if (nest.names_wgt) report(Rule::kAluWgt);
    if (in.use_imm && nest.src_differs) report(Rule::kImmOperandUop);
  }

  void read(Memo& memo, const Intervals& where) {
    int32_t high = 0, low = INT32_MAX;
    for (const Interval& part : where) {
      for (int64_t i = part.begin; i < part.end; ++i) {
        high = std::max(high, memo.writer[i]), low = std::min(low, memo.writer[i]);
      }
    }
    if (low == 0) initialised(memo.writer, where, memo.memory);
    if (high > (*clock_)[kLoadModule]) {
      report(Rule::kHazard, {kReads, memo.memory, members_[kLoadModule][high - 1]});
    }
    fill(memo.reader, where, position_);
  }

  template <class T>
  void initialised(const std::vector<T>& known, const Intervals& where, Memory memory) {
    const int64_t missing = first_zero(known, where);
    if (missing >= 0) report(Rule::kUninitialised, {memory, missing});
  }

  const Config& config_;
  const Decoder& decoder_;
  const std::vector<Instruction>& program_;
  const Play& play_;
  const Dram& dram_;
  const bool portable_;
  Findings& findings_;
  std::vector<int64_t> members_[kModules];
  Memo inp_, wgt_, out_;
  std::vector<uint8_t> acc_set_, out_fresh_;
  std::vector<MicroOp> uops_;
  std::vector<uint8_t> uop_set_;
  DramMemo stored_;
  Nests nests_;
  int64_t index_ = 0;
  int32_t position_ = 0;
  const Clock* clock_ = nullptr;
};

}  // namespace

void check_contents(const Config& config, const Decoder& decoder,
                    const std::vector<Instruction>& program, const Play& play, const Dram& dram,
                    bool portable, Findings& findings) {
  Walk(config, decoder, program, play, dram, portable, findings).run();
}

}  // namespace codesign
