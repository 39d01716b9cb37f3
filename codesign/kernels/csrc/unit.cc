#include "unit.h"

#include "emit.h"
#include "infeasible.h"

namespace codesign::units {
namespace {

// Appends the unit to `stream`, which holds its micro-ops until `end_unit`.
Constants append(Stream& stream, const Workload& workload, const Schedule& schedule,
                 const Requant& numbers, const Placement* placement) {
  stream.begin_unit(placement);
  return std::visit([&](const auto& w) { return emit(stream, w, schedule, numbers); }, workload);
}

// Whether `alone`, emitted at base 0, still fits its micro-ops at the placement's base: those that
// GEMM and ALU share are two where the bases of their operands differ.
bool has_room_for_uops(const Config& config, const RegionUnit& unit, const Unit& alone,
                       const Placement& placement) {
  if (2 * static_cast<int64_t>(alone.uops.size()) <= alone.stream.max_uops()) return true;
  try {
    Stream stream(config);
    append(stream, unit.workload, alone.schedule, unit.numbers, &placement);
    return true;
  } catch (const Infeasible& problem) {
    if (problem.constraint != "uop_depth") throw;
    return false;
  }
}

}  // namespace

Unit emit_unit(const Config& config, const Workload& workload, const Schedule& schedule,
               const Requant& numbers, const Placement* placement) {
  Schedule chosen = schedule;
  for (;; chosen.split = false) {
    try {
      Unit unit{Stream(config), Constants(config), {}, chosen};
      unit.constants = append(unit.stream, workload, chosen, numbers, placement);
      unit.uops = unit.stream.end_unit();
      unit.stream.finish();
      return unit;
    } catch (const Infeasible& problem) {
      if (problem.constraint != "uop_depth" || !chosen.split) throw;
    }
  }
}

RunResult measure(const Config& config, const Workload& workload, const Schedule& schedule,
                  const Requant& numbers) {
  Placement placement;
  placement.buffers.assign(kInput, 0);
  int64_t position = kAlignment;
  const auto place = [&](int64_t bytes) {
    const int64_t at = position;
    position += align(bytes);
    return at;
  };
  for (const TensorLayout& source : sources(workload)) {
    placement.buffers.push_back(place(source.bytes(config)));
  }
  placement.buffers[kOutput] = place(target(workload).bytes(config));
  placement.buffers[kConstants] = position;
  const Unit unit = emit_unit(config, workload, schedule, numbers, &placement);
  const std::vector<Instruction>& program = unit.stream.instructions();
  try {
    return run_timing(config, program.data(), program.size(), 0);
  } catch (const ProgramFault& error) {
    throw Infeasible{"program", error.what()};
  }
}

Region emit_region(const Config& config, const std::vector<RegionUnit>& units) {
  Region region{Stream(config), {}};
  const OnChip room = {(int64_t{1} << config.log_inp_depth) - 1, int64_t{1} << config.log_wgt_depth,
                       int64_t{1} << config.log_acc_depth};
  bool high = false;
  for (const RegionUnit& unit : units) {
    // Every other unit lies at the upper end, so that it need not wait for its predecessor's room.
    Placement placement;
    placement.buffers = unit.buffers;
    const Unit alone = emit_unit(config, unit.workload, unit.schedule, unit.numbers);
    const OnChip& need = alone.stream.demand();
    if (high) placement.base = {room.inp - need.inp, room.wgt - need.wgt, room.acc - need.acc};
    if (high && !has_room_for_uops(config, unit, alone, placement)) placement.base = {};
    high = !high;
    size_t input = kInput;
    for (const TensorLayout& source : sources(unit.workload)) {
      const int64_t begin = unit.buffers.at(input++);
      placement.inputs.push_back({begin, begin + source.bytes(config)});
    }
    const auto first = static_cast<int32_t>(region.stream.instructions().size());
    Constants constants =
        append(region.stream, unit.workload, alone.schedule, unit.numbers, &placement);
    region.parts.push_back({std::move(constants), region.stream.end_unit(), first});
  }
  region.stream.finish();
  return region;
}

}  // namespace codesign::units
