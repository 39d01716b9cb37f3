#include "checker.h"

#include <algorithm>

#include "contents.h"
#include "field_rules.h"
#include "token_play.h"

namespace codesign {
namespace {

void report_deadlock(const Play& play, Findings& findings) {
  Finding finding{INT64_MAX, static_cast<int64_t>(Rule::kDeadlock), {}};
  finding.values.fill(-1);
  size_t at = 0;
  for (const auto& [index, counter] : play.waiting) {
    finding.index = std::min(finding.index, index);
    finding.values[at++] = index;
    finding.values[at++] = counter;
  }
  findings.list.push_back(finding);
}

void report_order(const std::vector<Instruction>& program, const Play& first,
                  Findings& findings) {
  const int64_t last = static_cast<int64_t>(program.size()) - 1;
  for (int counter = 0; counter < kCounters; ++counter) {
    if (first.left[counter]) {
      findings.report(last, Rule::kTokenBalance, {counter, first.left[counter]});
    }
  }
  for (int hold = 0; hold < kModules; ++hold) {
    const Play held = play(program, hold);
    if (held.overflow_index >= 0) {
      findings.report(held.overflow_index, Rule::kTokenOverflow, {held.overflow_counter});
    }
  }
  int32_t totals[kModules] = {};
  for (const Instruction& in : program) ++totals[in.module()];
  for (const int module : {kLoadModule, kStoreModule}) {
    if (first.clocks.back()[module] < totals[module]) {
      findings.report(last, Rule::kFinishOrder, {module});
    }
  }
}

}  // namespace

std::vector<Finding> check(const Config& config, const uint8_t* instructions, size_t count,
                           const uint8_t* memory, size_t memory_bytes, uint64_t base_address,
                           bool portable) {
  const Decoder decoder(config);
  const Dram dram{memory, static_cast<int64_t>(memory_bytes), static_cast<int64_t>(base_address)};
  Findings findings;
  std::vector<Instruction> program;
  program.reserve(count);
  bool runnable = true;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* bytes = instructions + i * config.instruction_bytes;
    const int64_t index = static_cast<int64_t>(i);
    const Instruction in = decoder.fields(bytes);
    if (!decoder.reserved_bits_clear(bytes)) findings.report(index, Rule::kReservedBits);
    runnable &= check_fields(config, decoder, in, index, i + 1 == count, dram, findings);
    if (portable) check_portable_fields(decoder, in, index, findings);
    program.push_back(in);
  }
  if (runnable) {
    const Play first = play(program);
    if (first.order.size() < count) {
      report_deadlock(first, findings);
    } else {
      report_order(program, first, findings);
      if (memory) check_contents(config, decoder, program, first, dram, portable, findings);
    }
  }
  std::stable_sort(findings.list.begin(), findings.list.end(),
                   [](const Finding& a, const Finding& b) {
                     return a.index != b.index ? a.index < b.index : a.rule < b.rule;
                   });
  return std::move(findings.list);
}

}  // namespace codesign
