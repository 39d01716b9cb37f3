#include "stream.h"

#include <string>

#include "infeasible.h"

namespace codesign::units {
namespace {

constexpr int64_t kRtlUops = 2048;

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

int32_t Stream::append(const Instruction& in, int32_t buffer) {
  rows_.push_back(in);
  buffers_.push_back(buffer);
  return narrow(static_cast<int64_t>(rows_.size()) - 1);
}

void Stream::begin_unit() {
  uop_load_ = append(transfer_of(kLoad, kUop, {0, 0, 0}), kConstants);
}

void Stream::end_unit() {
  rows_[uop_load_].x_size = rows_[uop_load_].x_stride = narrow(static_cast<int64_t>(uops_.size()));
}

void Stream::finish() {
  rows_[last_store_].push_prev = true;
  Instruction in{};
  in.opcode = kFinish, in.pop_next = true;
  append(in, kNoBuffer);
  check_fields();
}

void Stream::begin_step() {
  last_load_ = first_compute_ = last_compute_ = first_main_ = last_main_ = start_after_ = -1;
  read_.clear();
  stored_.clear();
}

void Stream::load_accumulators(int32_t buffer, const Transfer& t) {
  begin_step();
  writes(t.sram, t.sram + t.x_size * t.y_size);
  compute(transfer_of(kLoad, kAcc, t), false);
  buffers_.back() = buffer;
}

void Stream::load(Memory memory, int32_t buffer, const Transfer& t) {
  Instruction in = transfer_of(kLoad, memory, t);
  const int64_t size = (t.left + t.x_size + t.right) * (t.top + t.y_size + t.bottom);
  const int32_t reader = (memory == kInp ? inp_ : wgt_).max(t.sram, t.sram + size);
  if (reader > waited_compute_) {
    waited_compute_ = reader;
    rows_[reader].push_prev = true;
    in.pop_next = true;
  }
  last_load_ = append(in, buffer);
}

void Stream::reads(Memory memory, int64_t begin, int64_t end) {
  read_.push_back({memory, begin, end});
}

void Stream::writes(int64_t begin, int64_t end) {
  start_after_ = std::max(start_after_, out_.max(begin, end));
}

void Stream::compute(const Instruction& in, bool main) {
  last_compute_ = append(in, kNoBuffer);
  Instruction& row = rows_.back();
  if (first_compute_ < 0) {
    first_compute_ = last_compute_;
    if (start_after_ > waited_store_) {
      waited_store_ = start_after_;
      rows_[start_after_].push_prev = true;
      row.pop_next = true;
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
  if (stored_.empty()) {
    rows_[last_compute_].push_next = true;
    in.pop_prev = true;
  }
  stored_.push_back({kOut, t.sram, t.sram + t.x_size * t.y_size});
  last_store_ = append(in, kOutput);
}

void Stream::end_step() {
  for (const Range& r : read_) (r.memory == kInp ? inp_ : wgt_).assign(r.begin, r.end, last_main_);
  for (const Range& r : stored_) out_.assign(r.begin, r.end, last_store_);
  if (static_cast<int64_t>(uops_.size()) > max_uops_) {
    throw Infeasible{"uop_depth",
                     "needs more than " + std::to_string(max_uops_) + " micro-ops on chip"};
  }
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
  Instruction in = loops(kGemm, *nest, dst, src, wgt);
  in.reset = reset;
  in.wgt_factor_out = narrow(nest->outer.wgt), in.wgt_factor_in = narrow(nest->inner.wgt);
  return in;
}

Instruction Stream::alu(AluOp op, const Nest& nest, int64_t dst, int64_t src,
                        std::optional<int64_t> imm) {
  Instruction in = loops(kAlu, nest, dst, src, 0);
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
