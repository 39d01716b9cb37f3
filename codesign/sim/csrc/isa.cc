#include "isa.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace codesign {
namespace {

constexpr int kWordBits = 64;

uint64_t word_at(const uint8_t* bytes, int index) {
  uint64_t word = 0;
  for (int i = 7; i >= 0; --i) word = word << 8 | bytes[8 * index + i];
  return word;
}

// VTA_SPEC.md 3.1: in order from bit 0, no field straddling a 64-bit word.
template <typename Slot>
void place(const std::vector<int64_t>& widths, Slot* slots) {
  int64_t position = 0;
  for (size_t i = 0; i < widths.size(); ++i) {
    const int64_t room = kWordBits - position % kWordBits;
    if (widths[i] > room) position += room;
    const bool used = widths[i] > 0;
    slots[i] = {static_cast<int32_t>(used ? position / kWordBits : 0),
                static_cast<int32_t>(used ? position % kWordBits : 0),
                (uint64_t{1} << widths[i]) - 1};
    position += widths[i];
  }
}

std::string range(int64_t value, const char* allowed) {
  return std::to_string(value) + "; allowed: " + allowed;
}

}  // namespace

void fault(int64_t index, const char* rule, const std::string& text) {
  throw ProgramFault("instruction " + std::to_string(index) + ": " + rule + ": " + text);
}

Decoder::Decoder(const Config& c) : config_(c) {
  const int64_t lu = c.log_uop_depth, la = c.log_acc_depth, li = c.log_inp_depth,
                lw = c.log_wgt_depth;
  // The header and `reset` take the first 8 bits of word 0 in every encoding.
  place(std::vector<int64_t>{3, 1, 1, 1, 1, 1, lu, lu + 1, 14, 14, la, la, li, li, lw, lw}, gemm_);
  place(std::vector<int64_t>{3, 1, 1, 1, 1, 1, lu, lu + 1, 14, 14, la, la, la, la, 3, 1, 16}, alu_);
  place(std::vector<int64_t>{la, std::max(la, li), lw}, uop_);
  int32_t words = 0, uop_words = 0;
  for (const Slot& slot : gemm_) words = std::max(words, slot.word + 1);
  for (const Slot& slot : alu_) words = std::max(words, slot.word + 1);
  for (const Slot& slot : uop_) uop_words = std::max(uop_words, slot.word + 1);
  const int64_t uop_bits = la + std::max(la, li) + lw;
  if (8 * words > c.instruction_bytes || uop_words > 1 || uop_bits > 8 * c.uop_bytes) {
    throw std::invalid_argument("the fields do not fit instruction_bytes or uop_bytes; use the "
                                "wide encoding");
  }
  constexpr uint64_t kHeader = 0x7f, kLow58 = (uint64_t{1} << 58) - 1;
  std::memset(used_, 0, sizeof used_);
  used_[kFinish][0] = kHeader;
  for (int opcode : {kLoad, kStore}) used_[opcode][0] = kLow58, used_[opcode][1] = ~uint64_t{0};
  for (const Slot& slot : gemm_) used_[kGemm][slot.word] |= slot.mask << slot.shift;
  for (const Slot& slot : alu_) used_[kAlu][slot.word] |= slot.mask << slot.shift;
  element_bytes_[kUop] = c.uop_bytes;
  element_bytes_[kWgt] = c.wgt_lanes() * c.wgt_bits / 8;
  element_bytes_[kInp] = c.inp_lanes() * c.inp_bits / 8;
  element_bytes_[kAcc] = c.acc_lanes() * 4;
  element_bytes_[kOut] = c.acc_lanes() * c.inp_bits / 8;
  element_bytes_[kAcc8] = c.acc_lanes();
  depth_[kUop] = int64_t{1} << lu;
  depth_[kWgt] = int64_t{1} << lw;
  depth_[kInp] = int64_t{1} << li;
  depth_[kAcc] = depth_[kOut] = depth_[kAcc8] = int64_t{1} << la;
}

Instruction Decoder::decode(const uint8_t* bytes, int64_t index) const {
  const Instruction in = fields(bytes);
  check(in, index);
  return in;
}

Instruction Decoder::fields(const uint8_t* bytes) const {
  uint64_t words[4] = {word_at(bytes, 0), word_at(bytes, 1), 0, 0};
  if (config_.instruction_bytes == 32) words[2] = word_at(bytes, 2), words[3] = word_at(bytes, 3);
  Instruction in{};
  in.opcode = static_cast<int32_t>(words[0] & 7);
  in.pop_prev = words[0] >> 3 & 1;
  in.pop_next = words[0] >> 4 & 1;
  in.push_prev = words[0] >> 5 & 1;
  in.push_next = words[0] >> 6 & 1;
  if (in.opcode == kLoad || in.opcode == kStore) {
    in.memory_type = words[0] >> 7 & 7;
    in.sram_base = words[0] >> 10 & 0xffff;
    in.dram_base = static_cast<int64_t>(words[0] >> 26 & 0xffffffff);
    in.y_size = words[1] & 0xffff;
    in.x_size = words[1] >> 16 & 0xffff;
    in.x_stride = words[1] >> 32 & 0xffff;
    in.y_pad_0 = words[1] >> 48 & 15;
    in.y_pad_1 = words[1] >> 52 & 15;
    in.x_pad_0 = words[1] >> 56 & 15;
    in.x_pad_1 = words[1] >> 60 & 15;
  } else if (in.opcode == kGemm || in.opcode == kAlu) {
    const bool gemm = in.opcode == kGemm;
    const Slot* slots = gemm ? gemm_ : alu_;
    const auto field = [&](int i) {
      return static_cast<int32_t>(words[slots[i].word] >> slots[i].shift & slots[i].mask);
    };
    in.reset = words[0] >> 7 & 1;
    in.uop_bgn = field(6), in.uop_end = field(7);
    in.iter_out = field(8), in.iter_in = field(9);
    in.dst_factor_out = field(10), in.dst_factor_in = field(11);
    in.src_factor_out = field(12), in.src_factor_in = field(13);
    if (gemm) {
      in.wgt_factor_out = field(14), in.wgt_factor_in = field(15);
    } else {
      in.alu_opcode = field(14), in.use_imm = field(15);
      in.imm = static_cast<int16_t>(field(16));
    }
  }
  return in;
}

bool Decoder::reserved_bits_clear(const uint8_t* bytes) const {
  const uint64_t* used = used_[std::min<int>(bytes[0] & 7, kAlu)];
  for (int64_t w = 0; w < config_.instruction_bytes / 8; ++w) {
    if (word_at(bytes, static_cast<int>(w)) & ~used[w]) return false;
  }
  return true;
}

MicroOp Decoder::decode_uop(const uint8_t* bytes) const {
  uint64_t word = 0;
  std::memcpy(&word, bytes, config_.uop_bytes);
  const auto field = [&](int i) {
    return static_cast<int32_t>(word >> uop_[i].shift & uop_[i].mask);
  };
  return {field(0), field(1), field(2)};
}

void Decoder::check(const Instruction& in, int64_t index) const {
  if (in.opcode > kAlu) fault(index, "opcode", range(in.opcode, "0 to 4"));
  const Module module = in.module();
  if ((module == kLoadModule && (in.pop_prev || in.push_prev)) ||
      (module == kStoreModule && (in.pop_next || in.push_next))) {
    fault(index, "token_bits",
          module == kLoadModule ? "LOAD has no previous module; clear pop_prev and push_prev"
                                : "STORE has no next module; clear pop_next and push_next");
  }
  if (in.is_noop()) return;
  if (in.opcode == kLoad || in.opcode == kStore) check_transfer(in, index);
  if (in.opcode == kGemm || in.opcode == kAlu) check_loops(in, index);
}

void Decoder::check_transfer(const Instruction& in, int64_t index) const {
  const bool store = in.opcode == kStore;
  if (store ? in.memory_type != kOut : in.memory_type > kAcc8 || in.memory_type == kOut) {
    fault(index, "memory_type",
          range(in.memory_type, store ? "4 (OUT)" : "0 UOP, 1 WGT, 2 INP, 3 ACC, 5 ACC8"));
  }
  if (in.memory_type == kAcc8 && !config_.has_acc8) {
    fault(index, "feature", "ACC8 load; this configuration has HAS_ACC8 false");
  }
  if (in.y_size == 0) fault(index, "y_size", range(0, "1 to 65535 where x_size > 0"));
  const int64_t pitch = int64_t{in.x_pad_0} + in.x_size + in.x_pad_1;
  if (store && (in.y_pad_0 || in.y_pad_1 || in.x_pad_0 || in.x_pad_1)) {
    fault(index, "store_pads", "STORE with padding; allowed: pads 0");
  }
  const int64_t rows = int64_t{in.y_pad_0} + in.y_size + in.y_pad_1;
  const int64_t end = in.sram_base + pitch * rows;
  if (end > depth(in.memory_type)) {
    fault(index, "sram_footprint",
          "ends at element " + std::to_string(end) + "; depth is " +
              std::to_string(depth(in.memory_type)) + "; make the transfer smaller");
  }
}

void Decoder::check_loops(const Instruction& in, int64_t index) const {
  if (in.iter_out == 0 || in.iter_in == 0 || in.uop_end <= in.uop_bgn) {
    fault(index, "loop_bounds",
          "iter_out " + std::to_string(in.iter_out) + ", iter_in " + std::to_string(in.iter_in) +
              ", micro-ops " + std::to_string(in.uop_bgn) + " to " + std::to_string(in.uop_end) +
              "; allowed: at least one of each");
  }
  if (in.uop_end > depth(kUop)) {
    fault(index, "uop_range",
          "uop_end " + std::to_string(in.uop_end) + "; depth is " + std::to_string(depth(kUop)));
  }
  if (in.opcode != kAlu) return;
  if (in.alu_opcode > kMul) fault(index, "alu_opcode", range(in.alu_opcode, "0 to 4"));
  if (in.alu_opcode == kMul && !config_.has_mul) {
    fault(index, "feature", "ALU MUL; this configuration has HAS_MUL false");
  }
}

}  // namespace codesign
