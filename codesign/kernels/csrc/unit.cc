#include "unit.h"

#include "emit.h"
#include "infeasible.h"

namespace codesign::units {
namespace {

// What no schedule can mend: element widths and tile shapes that the kernels do not serve.
void require_supported(const Config& c, const Workload& workload) {
  if (c.inp_bits != 8 || c.wgt_bits != 8 || c.acc_bits != 32) {
    throw Infeasible{"element_width",
                     "kernels need int8/int8/int32, not (" + std::to_string(c.inp_bits) + ", " +
                         std::to_string(c.wgt_bits) + ", " + std::to_string(c.acc_bits) +
                         ") bits"};
  }
  if (c.batch > 1 && c.block_in != c.block_out) {
    throw Infeasible{"batch_layout", "BATCH " + std::to_string(c.batch) +
                                         " needs BLOCK_IN = BLOCK_OUT, not " +
                                         std::to_string(c.block_in) + "x" +
                                         std::to_string(c.block_out)};
  }
  const TensorLayout out = target(workload);
  if (out.height < 1 || out.width < 1) {
    throw Infeasible{"empty_output", "the output has " + std::to_string(out.height) + "x" +
                                         std::to_string(out.width) + " pixels"};
  }
}

int64_t element_bytes(const Config& config, int32_t memory) {
  switch (memory) {
    case kUop: return config.uop_bytes;
    case kWgt: return config.wgt_lanes() * config.wgt_bits / 8;
    case kInp: return config.inp_lanes() * config.inp_bits / 8;
    case kAcc: return config.acc_lanes() * 4;
    default: return config.acc_lanes() * config.inp_bits / 8;
  }
}

}  // namespace

Unit emit_unit(const Config& config, const Workload& workload, const Schedule& schedule,
               const Requant& numbers) {
  require_supported(config, workload);
  Unit unit{Stream(config), Constants(config)};
  unit.constants = std::visit(
      [&](const auto& w) { return emit(unit.stream, w, schedule, numbers); }, workload);
  unit.stream.finish();
  return unit;
}

RunResult measure(const Config& config, const Workload& workload, const Schedule& schedule,
                  const Requant& numbers) {
  const Unit unit = emit_unit(config, workload, schedule, numbers);
  std::vector<int64_t> base(kInput, 0);
  int64_t position = kAlignment;
  const auto place = [&](int64_t bytes) {
    const int64_t at = position;
    position += align(bytes);
    return at;
  };
  for (const TensorLayout& source : sources(workload)) base.push_back(place(source.bytes(config)));
  base[kOutput] = place(target(workload).bytes(config));
  base[kConstants] = place(unit.constants.bytes());
  std::vector<Instruction> placed = unit.stream.instructions();
  const std::vector<int32_t>& buffers = unit.stream.buffers();
  for (size_t i = 0; i < placed.size(); ++i) {
    if (buffers[i] == kNoBuffer) continue;
    placed[i].dram_base += base[buffers[i]] / element_bytes(config, placed[i].memory_type);
  }
  try {
    return run_timing(config, placed.data(), placed.size(), 0);
  } catch (const ProgramFault& error) {
    throw Infeasible{"program", error.what()};
  }
}

}  // namespace codesign::units
