#include "field_rules.h"

#include <algorithm>

namespace codesign {
namespace {

constexpr int32_t kRtlUopDepth = 2048;
constexpr int64_t kAddressSpace = int64_t{1} << 32;

bool padded(const Instruction& in) {
  return in.y_pad_0 || in.y_pad_1 || in.x_pad_0 || in.x_pad_1;
}

void check_transfer(const Config& config, const Decoder& decoder, const Instruction& in,
                    int64_t index, const Dram& dram, Findings& findings) {
  const bool store = in.opcode == kStore;
  const int32_t kind = in.memory_type;
  const bool wrong = store ? kind != kOut : kind > kAcc8 || kind == kOut;
  if (wrong) findings.report(index, Rule::kMemoryType, {kind});
  if (!store && kind == kAcc8 && !config.has_acc8) findings.report(index, Rule::kFeatureAcc8);
  if (in.y_size == 0) findings.report(index, Rule::kYSize);
  if (store && padded(in)) findings.report(index, Rule::kStorePads);
  const int64_t pitch = int64_t{in.x_pad_0} + in.x_size + in.x_pad_1;
  const int64_t end = in.sram_base + pitch * (int64_t{in.y_pad_0} + in.y_size + in.y_pad_1);
  if (!wrong && end > decoder.depth(kind)) {
    findings.report(index, Rule::kSramFootprint, {end, decoder.depth(kind)});
  }
  if (!dram.bytes || kind > kAcc8) return;
  const int64_t size = decoder.element_bytes(kind), from = in.dram_base * size;
  const int64_t to = from + span_bytes(in, size);
  if (from < dram.base || to > dram.base + dram.size) {
    findings.report(index, Rule::kDramRange, {from, to, dram.base, dram.base + dram.size});
  }
}

void check_loops(const Config& config, const Decoder& decoder, const Instruction& in,
                 int64_t index, Findings& findings) {
  if (in.iter_out == 0 || in.iter_in == 0 || in.uop_end <= in.uop_bgn) {
    findings.report(index, Rule::kLoopBounds, {in.iter_out, in.iter_in, in.uop_bgn, in.uop_end});
  }
  if (in.uop_end > decoder.depth(kUop)) {
    findings.report(index, Rule::kUopRange, {in.uop_end, decoder.depth(kUop)});
  }
  if (in.opcode != kAlu) return;
  if (in.alu_opcode > kMul) findings.report(index, Rule::kAluOpcode, {in.alu_opcode});
  if (in.reset) findings.report(index, Rule::kAluReset);
  if (in.alu_opcode == kMul && !config.has_mul) findings.report(index, Rule::kFeatureMul);
}

}  // namespace

int64_t span_bytes(const Instruction& in, int64_t element_bytes) {
  const int64_t rows = std::max<int64_t>(in.y_size - 1, 0);
  return (rows * in.x_stride + in.x_size) * element_bytes;
}

bool check_fields(const Config& config, const Decoder& decoder, const Instruction& in,
                  int64_t index, bool last, const Dram& dram, Findings& findings) {
  const size_t before = findings.list.size();
  if (in.opcode > kAlu) findings.report(index, Rule::kOpcode, {in.opcode});
  if ((in.opcode == kFinish) != last) findings.report(index, Rule::kFinishLast);
  const Module module = in.module();
  if ((module == kLoadModule && (in.pop_prev || in.push_prev)) ||
      (module == kStoreModule && (in.pop_next || in.push_next))) {
    findings.report(index, Rule::kTokenBits);
  }
  if (in.opcode <= kStore && in.x_size > 0) {
    check_transfer(config, decoder, in, index, dram, findings);
  }
  if (in.opcode == kGemm || in.opcode == kAlu) {
    check_loops(config, decoder, in, index, findings);
  }
  return findings.list.size() == before;
}

void check_portable_fields(const Decoder& decoder, const Instruction& in, int64_t index,
                           Findings& findings) {
  if (in.opcode <= kStore) {
    if (in.x_size == 0) {
      if (padded(in)) findings.report(index, Rule::kNoopPads);
      return;
    }
    const int32_t kind = in.memory_type;
    if (kind > kAcc8) return;
    const int64_t size = decoder.element_bytes(kind);
    if (in.dram_base * size + span_bytes(in, size) > kAddressSpace) {
      findings.report(index, Rule::kAddress);
    }
    if (in.opcode == kStore) return;
    if (kind == kAcc8) findings.report(index, Rule::kAcc8);
    if (kind == kWgt && padded(in)) findings.report(index, Rule::kWgtPads);
    if (kind != kUop) return;
    if (padded(in) || in.y_size != 1) findings.report(index, Rule::kUop2d);
    if (in.sram_base + in.x_size > kRtlUopDepth) findings.report(index, Rule::kUopDepth);
  } else if (in.opcode == kGemm || in.opcode == kAlu) {
    if (in.uop_end > kRtlUopDepth) findings.report(index, Rule::kUopDepth);
    if (in.opcode == kGemm) return;
    if (in.alu_opcode == kMul) findings.report(index, Rule::kMul);
    if (in.use_imm && (in.src_factor_out != in.dst_factor_out ||
                       in.src_factor_in != in.dst_factor_in)) {
      findings.report(index, Rule::kImmOperand);
    }
    if (in.alu_opcode != kShr) return;
    if (in.use_imm && (in.imm < -16 || in.imm > 15)) {
      findings.report(index, Rule::kShift, {in.imm});
    }
    if (!in.use_imm && in.imm != 0) findings.report(index, Rule::kShiftImm, {in.imm});
  }
}

}  // namespace codesign
