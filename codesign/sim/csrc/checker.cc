#include "checker.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "token_play.h"

namespace codesign {
namespace {

struct Interval {
  int32_t begin, end;
};
using Intervals = std::vector<Interval>;

// The distinct elements that a GEMM or ALU instruction touches.
struct Nest {
  bool in_range;
  Intervals dst, src, wgt;
};

// Last writer and reader of each element, as 1 + position in their module, 0 for none.
struct Memo {
  explicit Memo(int64_t elements) : writer(elements), reader(elements) {}
  std::vector<int32_t> writer, reader;
};

int32_t latest(const std::vector<int32_t>& positions, const Interval& where) {
  int32_t found = 0;
  for (int32_t i = where.begin; i < where.end; ++i) found = std::max(found, positions[i]);
  return found;
}

bool all(const std::vector<uint8_t>& flags, const Intervals& where) {
  for (const Interval& part : where) {
    if (std::memchr(&flags[part.begin], 0, part.end - part.begin)) return false;
  }
  return true;
}

template <class T, class V>
void fill(std::vector<T>& values, const Intervals& where, V value) {
  for (const Interval& part : where) {
    std::fill(values.begin() + part.begin, values.begin() + part.end, static_cast<T>(value));
  }
}

// Follows contents and accesses through one legal order; the twin of codesign/isa/contents.py.
class Walk {
 public:
  Walk(const Config& config, const Decoder& decoder, const std::vector<Instruction>& program,
       const Play& play, const uint8_t* memory, uint64_t base)
      : config_(config), decoder_(decoder), program_(program), play_(play), memory_(memory),
        base_(base), inp_(decoder.depth(kInp)), wgt_(decoder.depth(kWgt)),
        out_(decoder.depth(kOut)), acc_set_(decoder.depth(kAcc)), out_fresh_(decoder.depth(kOut)),
        uops_(decoder.depth(kUop)), uop_set_(decoder.depth(kUop)) {
    granule_ = decoder.element_bytes(kOut);
    low_ = INT64_MAX;
    int64_t high = 0;
    for (const Instruction& in : program) {
      if (in.opcode != kStore || in.is_noop()) continue;
      low_ = std::min(low_, in.dram_base * granule_);
      high = std::max(high, in.dram_base * granule_ + span(in));
    }
    granules_ = high > 0 ? (high - low_) / granule_ : 0;
    for (auto& last : dram_) last.resize(granules_);
  }

  bool clean() {
    int32_t counts[kModules] = {};
    for (int32_t index : play_.order) {
      const Instruction& in = program_[index];
      position_ = ++counts[in.module()];
      clock_ = &play_.clocks[index];
      if (in.opcode == kFinish || in.is_noop()) continue;
      const bool good = in.opcode == kLoad    ? dram_ordered(in) && load(in)
                        : in.opcode == kStore ? dram_ordered(in) && store(in)
                                              : loops(in);
      if (!good) return false;
    }
    return true;
  }

 private:
  int64_t span(const Instruction& in) const {
    const int64_t rows = int64_t{in.y_size - 1} * in.x_stride + in.x_size;
    return rows * decoder_.element_bytes(in.memory_type);
  }

  bool dram_ordered(const Instruction& in) {
    const int64_t size = decoder_.element_bytes(in.memory_type);
    const int64_t begin = in.dram_base * size - low_;
    if (granules_ == 0 || begin + span(in) <= 0 || begin >= granules_ * granule_) return true;
    const Module module = in.module();
    for (int64_t y = 0; y < in.y_size; ++y) {
      const int64_t row = begin + y * in.x_stride * size, row_end = row + in.x_size * size;
      const int64_t first = std::max<int64_t>(0, row) / granule_;
      const int64_t end = std::min(granules_, (row_end + granule_ - 1) / granule_);
      if (row_end <= 0 || first >= end) continue;
      const Interval where = {static_cast<int32_t>(first), static_cast<int32_t>(end)};
      if (module == kStoreModule) {
        if (!ordered(dram_[kLoadModule], where, kLoadModule)) return false;
        if (!ordered(dram_[kComputeModule], where, kComputeModule)) return false;
      } else if (!ordered(dram_[kStoreModule], where, kStoreModule)) {
        return false;
      }
      std::fill(dram_[module].begin() + where.begin, dram_[module].begin() + where.end, position_);
    }
    return true;
  }

  bool ordered(const std::vector<int32_t>& positions, const Interval& where, int other) const {
    return latest(positions, where) <= (*clock_)[other];
  }

  bool ordered(const std::vector<int32_t>& positions, const Intervals& where, int other) const {
    return std::all_of(where.begin(), where.end(), [&](const Interval& part) {
      return ordered(positions, part, other);
    });
  }

  bool load(const Instruction& in) {
    const int32_t pitch = in.x_pad_0 + in.x_size + in.x_pad_1;
    const int32_t rows = in.y_pad_0 + in.y_size + in.y_pad_1;
    const Intervals where = {{in.sram_base, in.sram_base + pitch * rows}};
    if (in.memory_type == kUop) return load_uops(in, pitch, where);
    if (in.memory_type == kAcc || in.memory_type == kAcc8) return refill(where);
    Memo& memo = in.memory_type == kInp ? inp_ : wgt_;
    if (!ordered(memo.reader, where, kComputeModule)) return false;
    fill(memo.writer, where, position_);
    return true;
  }

  bool load_uops(const Instruction& in, int32_t pitch, const Intervals& where) {
    fill(uops_, where, MicroOp{});
    fill(uop_set_, where, 1);
    const int64_t size = config_.uop_bytes;
    for (int64_t y = 0; y < in.y_size; ++y) {
      const int64_t at = (in.dram_base + y * in.x_stride) * size - static_cast<int64_t>(base_);
      MicroOp* to = &uops_[in.sram_base + (in.y_pad_0 + y) * pitch + in.x_pad_0];
      for (int64_t x = 0; x < in.x_size; ++x) to[x] = decoder_.decode_uop(memory_ + at + x * size);
    }
    nests_.clear();
    return true;
  }

  // ACC changes behind OUT's back: by LOAD, or by GEMM with reset.
  bool refill(const Intervals& where) {
    fill(acc_set_, where, 1);
    fill(out_fresh_, where, 0);
    return true;
  }

  bool store(const Instruction& in) {
    const Intervals where = {{in.sram_base, in.sram_base + in.x_size * in.y_size}};
    if (!all(out_fresh_, where) || !ordered(out_.writer, where, kComputeModule)) return false;
    fill(out_.reader, where, position_);
    return true;
  }

  bool loops(const Instruction& in) {
    if (!all(uop_set_, {{in.uop_bgn, in.uop_end}})) return false;
    const Nest& nest = expanded(in);
    if (!nest.in_range) return false;
    const bool gemm = in.opcode == kGemm;
    if (gemm && in.reset) return refill(nest.dst);
    if (gemm && !(reads(inp_, nest.src) && reads(wgt_, nest.wgt))) return false;
    if (!all(acc_set_, nest.dst)) return false;
    if (!gemm && !in.use_imm && !all(acc_set_, nest.src)) return false;
    if (!ordered(out_.reader, nest.dst, kStoreModule)) return false;
    fill(out_.writer, nest.dst, position_);
    fill(acc_set_, nest.dst, 1);
    fill(out_fresh_, nest.dst, 1);
    return true;
  }

  bool reads(Memo& memo, const Intervals& where) {
    for (const Interval& part : where) {
      int32_t high = 0, low = INT32_MAX;
      for (int32_t i = part.begin; i < part.end; ++i) {
        high = std::max(high, memo.writer[i]), low = std::min(low, memo.writer[i]);
      }
      if (low == 0 || high > (*clock_)[kLoadModule]) return false;
    }
    fill(memo.reader, where, position_);
    return true;
  }

  // Expanded once while the micro-ops stay.
  const Nest& expanded(const Instruction& in) {
    const std::array<int32_t, 12> key = {
        in.opcode,         in.reset,         in.uop_bgn,        in.uop_end,
        in.iter_out,       in.iter_in,       in.dst_factor_out, in.dst_factor_in,
        in.src_factor_out, in.src_factor_in, in.wgt_factor_out, in.wgt_factor_in};
    const auto [at, added] = nests_.try_emplace(key);
    if (!added) return at->second;
    Nest& nest = at->second;
    const bool gemm = in.opcode == kGemm;
    nest.in_range = expand(in, &MicroOp::dst, in.dst_factor_out, in.dst_factor_in,
                           decoder_.depth(kAcc), nest.dst);
    if (!(gemm && in.reset)) {
      nest.in_range &= expand(in, &MicroOp::src, in.src_factor_out, in.src_factor_in,
                              decoder_.depth(gemm ? kInp : kAcc), nest.src);
    }
    if (gemm && !in.reset) {
      nest.in_range &= expand(in, &MicroOp::wgt, in.wgt_factor_out, in.wgt_factor_in,
                              decoder_.depth(kWgt), nest.wgt);
    }
    return nest;
  }

  // The set {micro-ops} + {inner steps} + {outer steps}, one sum after the other, as intervals.
  bool expand(const Instruction& in, int32_t MicroOp::*field, int64_t outer, int64_t inner,
              int64_t depth, Intervals& found) {
    int64_t largest = 0;
    for (int64_t u = in.uop_bgn; u < in.uop_end; ++u) {
      largest = std::max<int64_t>(largest, uops_[u].*field);
    }
    if (largest + outer * (in.iter_out - 1) + inner * (in.iter_in - 1) >= depth) return false;
    marks_.assign(depth, 0);
    for (int64_t u = in.uop_bgn; u < in.uop_end; ++u) marks_[uops_[u].*field] = 1;
    repeat(inner, in.iter_in, largest);
    repeat(outer, in.iter_out, largest + inner * (in.iter_in - 1));
    const uint8_t *first = marks_.data(), *end = first + depth;
    for (const uint8_t* at = first; at != end;) {
      const void* one = std::memchr(at, 1, end - at);
      if (!one) break;
      const auto* begin = static_cast<const uint8_t*>(one);
      const void* zero = std::memchr(begin, 0, end - begin);
      at = zero ? static_cast<const uint8_t*>(zero) : end;
      found.push_back({static_cast<int32_t>(begin - first), static_cast<int32_t>(at - first)});
    }
    return true;
  }

  // marks |= marks shifted by step, 2 step, ..., (count - 1) step; marks end at `largest`. Each
  // turn doubles the shifts that are in; the last one may overlap those before.
  void repeat(int64_t step, int64_t count, int64_t largest) {
    if (step == 0) return;
    for (int64_t done = 1; done < count;) {
      const int64_t more = std::min(done, count - done), extent = largest + (done - 1) * step + 1;
      once_.assign(marks_.begin(), marks_.begin() + extent);
      const uint8_t* __restrict from = once_.data();
      uint8_t* __restrict to = &marks_[more * step];
      for (int64_t k = 0; k < extent; ++k) to[k] |= from[k];
      done += more;
    }
  }

  const Config& config_;
  const Decoder& decoder_;
  const std::vector<Instruction>& program_;
  const Play& play_;
  const uint8_t* memory_;
  uint64_t base_;
  Memo inp_, wgt_, out_;
  std::vector<uint8_t> acc_set_, out_fresh_;
  std::vector<MicroOp> uops_;
  std::vector<uint8_t> uop_set_, marks_, once_;
  std::map<std::array<int32_t, 12>, Nest> nests_;
  int64_t granule_ = 0, low_ = 0, granules_ = 0;
  std::vector<int32_t> dram_[kModules];
  int32_t position_ = 0;
  const Clock* clock_ = nullptr;
};

bool inside(const Instruction& in, const Decoder& decoder, uint64_t base, uint64_t bytes) {
  const uint64_t size = static_cast<uint64_t>(decoder.element_bytes(in.memory_type));
  const uint64_t begin = static_cast<uint64_t>(in.dram_base) * size;
  const uint64_t rows = static_cast<uint64_t>(in.y_size - 1) * static_cast<uint64_t>(in.x_stride);
  return begin >= base && begin + (rows + static_cast<uint64_t>(in.x_size)) * size <= base + bytes;
}

bool ordered_and_balanced(const std::vector<Instruction>& program, const Play& first) {
  if (first.order.size() < program.size() || !first.balanced) return false;
  for (int hold = 0; hold < kModules; ++hold) {
    if (play(program, hold).overflow) return false;
  }
  int32_t totals[kModules] = {};
  for (const Instruction& in : program) ++totals[in.module()];
  const Clock& last = first.clocks.back();
  return last[kLoadModule] >= totals[kLoadModule] && last[kStoreModule] >= totals[kStoreModule];
}

}  // namespace

bool is_clean(const Config& config, const uint8_t* instructions, size_t count,
              const uint8_t* memory, size_t memory_bytes, uint64_t base_address) {
  if (memory_bytes > INT32_MAX) return false;  // beyond the indices of Interval
  const Decoder decoder(config);
  std::vector<Instruction> program;
  program.reserve(count);
  try {
    for (size_t i = 0; i < count; ++i) {
      const uint8_t* bytes = instructions + i * config.instruction_bytes;
      const Instruction in = decoder.decode(bytes, static_cast<int64_t>(i));
      if ((in.opcode == kFinish) != (i + 1 == count)) return false;
      if (in.opcode == kAlu && in.reset) return false;
      if (!decoder.reserved_bits_clear(bytes)) return false;
      const bool moves = (in.opcode == kLoad || in.opcode == kStore) && !in.is_noop();
      if (memory && moves && !inside(in, decoder, base_address, memory_bytes)) return false;
      program.push_back(in);
    }
  } catch (const ProgramFault&) {
    return false;
  }
  const Play first = play(program);
  if (!ordered_and_balanced(program, first)) return false;
  return !memory || Walk(config, decoder, program, first, memory, base_address).clean();
}

}  // namespace codesign
