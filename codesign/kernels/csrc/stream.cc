#include "stream.h"

#include <algorithm>
#include <string>

#include "infeasible.h"

namespace codesign::units {
namespace {

constexpr int64_t kRtlUops = 2048;
constexpr size_t kMostTokens = 240;  // the RTL's counters hold 255

int32_t narrow(int64_t value) { return static_cast<int32_t>(value); }

Instruction transfer_of(Opcode opcode, Memory memory, const Transfer& t) {
  Instruction in{};
  in.opcode = opcode, in.memory_type = memory;
  in.sram_base = narrow(t.sram), in.dram_base = t.dram;
  in.x_size = narrow(t.x_size), in.y_size = narrow(t.y_size);
  in.x_stride = narrow(t.x_stride ? t.x_stride : t.x_size);
  in.y_pad_0 = narrow(t.top), in.y_pad_1 = narrow(t.bottom);
  in.x_pad_0 = narrow(t.left), in.x_pad_1 = narrow(t.right);
  return in;
}

void require_field(const char* name, int64_t value, int64_t bits) {
  if (value >= 0 && value >> bits == 0) return;
  throw Infeasible{"instruction_field",
                   std::string(name) + " is " + std::to_string(value) + "; allowed: 0 to " +
                       std::to_string((int64_t{1} << bits) - 1)};
}

}  // namespace

int64_t element_bytes(const Config& config, int32_t memory) {
  switch (memory) {
    case kUop: return config.uop_bytes;
    case kWgt: return config.wgt_lanes() * config.wgt_bits / 8;
    case kInp: return config.inp_lanes() * config.inp_bits / 8;
    case kAcc: return config.acc_lanes() * 4;
    default: return config.acc_lanes() * config.inp_bits / 8;
  }
}

size_t Stream::KernelHash::operator()(const Kernel& k) const {
  uint64_t hash = reinterpret_cast<uintptr_t>(k.uops);
  for (int64_t part : {k.dst, k.src, k.wgt}) {
    hash = (hash ^ static_cast<uint64_t>(part)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 31;
  }
  return hash;
}

Stream::Stream(const Config& config)
    : config_(config),
      max_uops_(std::min<int64_t>(int64_t{1} << config.log_uop_depth, kRtlUops)) {}

NestPtr Stream::require(NestPtr nest) const {
  if (nest) return nest;
  throw Infeasible{"uop_depth", "no micro-op kernel of at most " + std::to_string(max_uops_)};
}

int32_t Stream::append(Instruction in, int32_t buffer) {
  if (!placement_.buffers.empty() && buffer != kNoBuffer) {
    in.dram_base += placement_.buffers[buffer] / element_bytes(config_, in.memory_type);
  }
  rows_.push_back(in);
  buffers_.push_back(buffer);
  return narrow(static_cast<int64_t>(rows_.size()) - 1);
}

void Stream::begin_unit(const Placement* placement) {
  placement_ = placement ? *placement : Placement{};
  demand_ = {};
  first_step_ = true;
  uops_.clear();
  kernels_.clear();
  kept_.clear();
  unit_begin_ = append(transfer_of(kLoad, kUop, {0, 0, 0}), kConstants);
}

std::vector<MicroOp> Stream::end_unit() {
  const auto same = [&](const Resident& r) {
    return r.uops.size() == uops_.size() &&
           std::equal(uops_.begin(), uops_.end(), r.uops.begin(), [](MicroOp a, MicroOp b) {
             return a.dst == b.dst && a.src == b.src && a.wgt == b.wgt;
           });
  };
  const auto found = std::find_if(resident_.begin(), resident_.end(), same);
  const auto count = static_cast<int64_t>(uops_.size());
  int64_t begin = 0;
  Instruction& load = rows_[unit_begin_];
  if (found != resident_.end()) {
    begin = found->begin;
    load = transfer_of(kLoad, kUop, {0, 0, 0});
    load.y_size = load.x_stride = 0;
    buffers_[unit_begin_] = kNoBuffer;
  } else {
    if (!resident_.empty()) {
      begin = resident_.back().begin + static_cast<int64_t>(resident_.back().uops.size());
      if (begin + count > max_uops_) begin = 0, resident_.clear();
    }
    load.sram_base = narrow(begin);
    load.x_size = load.x_stride = narrow(count);
    resident_.push_back({begin, uops_});
  }
  for (size_t i = static_cast<size_t>(unit_begin_); begin > 0 && i < rows_.size(); ++i) {
    if (rows_[i].opcode != kGemm && rows_[i].opcode != kAlu) continue;
    rows_[i].uop_bgn += narrow(begin), rows_[i].uop_end += narrow(begin);
  }
  return uops_;
}

void Stream::finish() {
  rows_[last_store_].push_prev = true;
  Instruction in{};
  in.opcode = kFinish, in.pop_next = true;
  if (first_main_ < 0 && last_load_ >= 0) {  // what came last was for nothing
    rows_[last_load_].push_next = true;
    in.pop_prev = true;
  }
  append(in, kNoBuffer);
  check_fields();
}

void Stream::begin_step() {
  if (first_main_ >= 0) last_load_ = -1;  // else the next main part hands them over
  first_compute_ = last_compute_ = first_main_ = last_main_ = start_after_ = -1;
  loads_.clear();
  read_.clear();
  stored_.clear();
}

void Stream::load_accumulators(int32_t buffer, const Transfer& t) {
  begin_step();
  writes(t.sram, t.sram + t.x_size * t.y_size);
  Transfer placed = t;
  placed.sram += placement_.base.acc;
  compute(transfer_of(kLoad, kAcc, placed), false, buffer);
}

void Stream::load(Memory memory, int32_t buffer, const Transfer& t) {
  Load load = {memory, buffer, t};
  if (memory == kInp && t.sram == unit_element()) {
    if (unit_element_loaded_) return;
    unit_element_loaded_ = true;
  } else {
    const int64_t size = (t.left + t.x_size + t.right) * (t.top + t.y_size + t.bottom);
    int64_t& demand = memory == kInp ? demand_.inp : demand_.wgt;
    demand = std::max(demand, t.sram + size);
    load.transfer.sram += memory == kInp ? placement_.base.inp : placement_.base.wgt;
  }
  loads_.push_back(load);
}

// Before the step's first computation, or at its end if it has none. Where inputs must wait for a
// store, constants come first.
void Stream::issue_loads() {
  const auto waits = [&](const Load& load) { return last_store_of(load) > waited_store_; };
  if (first_step_ && std::any_of(loads_.begin(), loads_.end(), waits)) {
    std::stable_partition(loads_.begin(), loads_.end(),
                          [](const Load& load) { return load.buffer < kInput; });
  }
  for (const Load& load : loads_) issue(load);
  loads_.clear();
}

// The last store of an earlier unit into the bytes that `load` reads, -1 for none.
int32_t Stream::last_store_of(const Load& load) const {
  if (load.buffer < kInput || placement_.inputs.empty()) return -1;
  const Transfer& t = load.transfer;
  const int64_t bytes = element_bytes(config_, load.memory);
  const int64_t begin = placement_.buffers[load.buffer] + t.dram * bytes;
  return dram_.max(begin, begin + ((t.y_size - 1) * t.x_stride + t.x_size) * bytes);
}

// The COMPUTE instruction that has waited for `store`: one before, or a new no-op.
int32_t Stream::after_store(int32_t store) {
  const auto at = std::partition_point(store_waits_.begin(), store_waits_.end(),
                                       [store](const StoreWait& w) { return w.store < store; });
  if (at != store_waits_.end()) return at->compute;
  Instruction noop{};
  noop.opcode = kLoad, noop.memory_type = kUop, noop.pop_next = true;
  rows_[store].push_prev = true;
  waited_store_ = store;
  store_waits_.push_back({store, append(noop, kNoBuffer)});
  return store_waits_.back().compute;
}

void Stream::issue(const Load& load) {
  const Transfer& t = load.transfer;
  const int64_t size = (t.left + t.x_size + t.right) * (t.top + t.y_size + t.bottom);
  int32_t after = (load.memory == kInp ? inp_ : wgt_).max(t.sram, t.sram + size);
  const int32_t store = last_store_of(load);
  if (store >= 0) after = std::max(after, after_store(store));
  // LOAD runs ahead by fewer steps than its token counter holds.
  if (loading_steps_.size() >= kMostTokens) {
    after = std::max(after, loading_steps_[loading_steps_.size() - kMostTokens]);
  }
  Instruction in = transfer_of(kLoad, load.memory, t);
  if (after > waited_compute_) {
    waited_compute_ = after;
    rows_[after].push_prev = true;
    in.pop_next = true;
  }
  last_load_ = append(in, load.buffer);
}

void Stream::reads(Memory memory, int64_t begin, int64_t end) {
  const int64_t base = memory == kInp ? placement_.base.inp : placement_.base.wgt;
  read_.push_back({memory, base + begin, base + end});
}

void Stream::writes(int64_t begin, int64_t end) {
  demand_.acc = std::max(demand_.acc, end);
  const int64_t base = placement_.base.acc;
  start_after_ = std::max(start_after_, out_.max(base + begin, base + end));
}

void Stream::compute(const Instruction& in, bool main, int32_t buffer) {
  issue_loads();
  if (main && first_main_ < 0 && first_step_) {
    // Later steps of the unit need not wait: all its inputs are there from here on.
    first_step_ = false;
    int32_t store = -1;
    for (const DramRange& r : placement_.inputs) store = std::max(store, dram_.max(r.begin, r.end));
    if (store > waited_store_) after_store(store);
  }
  last_compute_ = append(in, buffer);
  Instruction& row = rows_.back();
  if (first_compute_ < 0) {
    first_compute_ = last_compute_;
    if (start_after_ > waited_store_) {
      waited_store_ = start_after_;
      rows_[start_after_].push_prev = true;
      row.pop_next = true;
      store_waits_.push_back({start_after_, last_compute_});
    }
  }
  if (!main) return;
  last_main_ = last_compute_;
  if (first_main_ >= 0) return;
  first_main_ = last_compute_;
  if (last_load_ >= 0) {
    rows_[last_load_].push_next = true;
    row.pop_prev = true;
  }
}

void Stream::store(const Transfer& t) {
  Instruction in = transfer_of(kStore, kOut, t);
  in.sram_base += narrow(placement_.base.acc);
  if (stored_.empty()) {
    rows_[last_compute_].push_next = true;
    in.pop_prev = true;
  }
  stored_.push_back({kOut, in.sram_base, in.sram_base + t.x_size * t.y_size});
  last_store_ = append(in, kOutput);
  if (placement_.inputs.empty()) return;
  const int64_t bytes = element_bytes(config_, kOut);
  const int64_t begin = placement_.buffers[kOutput] + t.dram * bytes;
  const int64_t rows = (t.y_size - 1) * t.x_stride + t.x_size;
  dram_.assign(begin, begin + rows * bytes, last_store_);
}

void Stream::end_step() {
  issue_loads();
  if (last_main_ >= 0) {
    for (const Range& r : read_) {
      (r.memory == kInp ? inp_ : wgt_).assign(r.begin, r.end, last_main_);
    }
  }
  for (const Range& r : stored_) out_.assign(r.begin, r.end, last_store_);
  if (last_load_ >= 0 && last_main_ >= 0) loading_steps_.push_back(last_main_);
  if (static_cast<int64_t>(uops_.size()) > max_uops_) {
    throw Infeasible{"uop_depth",
                     "needs more than " + std::to_string(max_uops_) + " micro-ops on chip"};
  }
}

void Stream::next_step() {
  end_step();
  std::vector<Range> read = std::move(read_);
  begin_step();
  read_ = std::move(read);
}

Instruction Stream::loops(Opcode opcode, const Nest& nest, int64_t dst, int64_t src, int64_t wgt) {
  const auto [at, added] =
      kernels_.try_emplace(Kernel{nest.uops.get(), dst, src, wgt}, narrow(int64_t(uops_.size())));
  const std::vector<MicroOp>& relative = *nest.uops;
  if (added) {
    kept_.push_back(nest.uops);
    for (const MicroOp& u : relative) {
      uops_.push_back({u.dst + narrow(dst), u.src + narrow(src), u.wgt + narrow(wgt)});
    }
  }
  Instruction in{};
  in.opcode = opcode;
  in.uop_bgn = at->second, in.uop_end = at->second + narrow(int64_t(relative.size()));
  in.iter_out = narrow(nest.outer.extent), in.iter_in = narrow(nest.inner.extent);
  in.dst_factor_out = narrow(nest.outer.dst), in.dst_factor_in = narrow(nest.inner.dst);
  in.src_factor_out = narrow(nest.outer.src), in.src_factor_in = narrow(nest.inner.src);
  return in;
}

Instruction Stream::gemm(const NestPtr& nest, int64_t dst, int64_t src, int64_t wgt, bool reset) {
  const OnChip& base = placement_.base;
  const int64_t inp = src == unit_element() ? src : src + base.inp;
  Instruction in = loops(kGemm, *nest, dst + base.acc, inp, wgt + base.wgt);
  in.reset = reset;
  in.wgt_factor_out = narrow(nest->outer.wgt), in.wgt_factor_in = narrow(nest->inner.wgt);
  return in;
}

Instruction Stream::alu(AluOp op, const Nest& nest, int64_t dst, int64_t src,
                        std::optional<int64_t> imm) {
  const int64_t acc = placement_.base.acc;
  Instruction in = loops(kAlu, nest, dst + acc, src + acc, 0);
  in.alu_opcode = op;
  in.use_imm = imm.has_value();
  in.imm = narrow(imm.value_or(0));
  return in;
}

// What the encoding cannot hold; addresses in DRAM are checked once they are absolute.
void Stream::check_fields() const {
  const int64_t acc = config_.log_acc_depth, inp = config_.log_inp_depth,
                wgt = config_.log_wgt_depth;
  for (const Instruction& in : rows_) {
    if (in.opcode == kLoad || in.opcode == kStore) {
      require_field("sram_base", in.sram_base, 16);
      require_field("y_size", in.y_size, 16);
      require_field("x_size", in.x_size, 16);
      require_field("x_stride", in.x_stride, 16);
      for (int64_t pad : {in.y_pad_0, in.y_pad_1, in.x_pad_0, in.x_pad_1}) {
        require_field("padding", pad, 4);
      }
    } else if (in.opcode == kGemm || in.opcode == kAlu) {
      require_field("iter_out", in.iter_out, 14);
      require_field("iter_in", in.iter_in, 14);
      require_field("dst_factor_out", in.dst_factor_out, acc);
      require_field("dst_factor_in", in.dst_factor_in, acc);
      const int64_t src = in.opcode == kGemm ? inp : acc;
      require_field("src_factor_out", in.src_factor_out, src);
      require_field("src_factor_in", in.src_factor_in, src);
      require_field("wgt_factor_out", in.wgt_factor_out, wgt);
      require_field("wgt_factor_in", in.wgt_factor_in, wgt);
    }
  }
}

}  // namespace codesign::units
