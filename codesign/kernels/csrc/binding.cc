// The only file that knows how Python reaches the emission of units.
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/string.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "infeasible.h"
#include "unit.h"

namespace {

namespace ffi = tvm::ffi;
using namespace codesign;         // NOLINT
using namespace codesign::units;  // NOLINT

std::vector<int64_t> vector_of(const ffi::Array<int64_t>& values) {
  return {values.begin(), values.end()};
}

Config config_of(const ffi::Array<int64_t>& values) {
  const std::vector<int64_t> all = vector_of(values);
  return Config::from_values(all.data(), all.size());
}

// A `Schedule` or `Requant` from exactly its fields.
template <class T>
T fields_of(const ffi::Array<int64_t>& values) {
  if (static_cast<int64_t>(values.size()) != T::kFields) {
    throw std::invalid_argument(std::to_string(values.size()) + " values for " +
                                std::to_string(T::kFields) + " fields");
  }
  return T::of(vector_of(values).data());
}

template <class T>
ffi::Bytes bytes_of(const std::vector<T>& values) {
  return ffi::Bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

using Result = ffi::Map<ffi::String, ffi::Any>;

Result refusal(const Infeasible& problem) {
  return {{"constraint", ffi::String(problem.constraint)},
          {"message", ffi::String(problem.message)}};
}

// Columns of codesign.isa.INSTRUCTION.
constexpr size_t kColumns = 29;

// In the order of codesign.isa.INSTRUCTION.
std::vector<int64_t> table_of(const std::vector<Instruction>& rows) {
  std::vector<int64_t> table;
  table.reserve(rows.size() * kColumns);
  for (const Instruction& in : rows) {
    table.insert(table.end(),
                 {in.opcode, in.pop_prev, in.pop_next, in.push_prev, in.push_next, in.memory_type,
                  in.sram_base, in.dram_base, in.y_size, in.x_size, in.x_stride, in.y_pad_0,
                  in.y_pad_1, in.x_pad_0, in.x_pad_1, in.reset, in.uop_bgn, in.uop_end,
                  in.iter_out, in.iter_in, in.dst_factor_out, in.dst_factor_in, in.src_factor_out,
                  in.src_factor_in, in.wgt_factor_out, in.wgt_factor_in, in.alu_opcode,
                  in.use_imm, in.imm});
  }
  if (table.size() != rows.size() * kColumns) throw std::logic_error("instruction columns");
  return table;
}

// Calls `make` with the arguments decoded; std::exception becomes ValueError, Infeasible a map.
template <class Make>
Result guarded(const Make& make) {
  try {
    return make();
  } catch (const Infeasible& problem) {
    return refusal(problem);
  } catch (const ffi::Error&) {
    throw;
  } catch (const std::exception& error) {
    TVM_FFI_THROW(ValueError) << error.what();
  }
  TVM_FFI_UNREACHABLE();
}

// The bytes at which parts of the constants begin, and int64[n, 11] of Piece.
void set_constants(Result& result, const Constants& c, const std::vector<MicroOp>& uops) {
  result.Set("uops", bytes_of(uops));
  result.Set("places", ffi::Array<int64_t>{c.unit_byte(), c.weights_byte(), c.scaling_byte(),
                                           c.bytes()});
  result.Set("pieces", bytes_of(c.pieces()));
}

// Instructions as int64[n, 29], each one's buffer as int32[n], micro-ops as int32[n, 3].
Result emit_unit_(ffi::Array<int64_t> config_values, ffi::Array<int64_t> workload_values,
                  ffi::Array<int64_t> schedule, ffi::Array<int64_t> numbers) {
  return guarded([&]() -> Result {
    const Config config = config_of(config_values);
    const Unit unit = emit_unit(config, parse_workload(vector_of(workload_values)),
                                fields_of<Schedule>(schedule),
                                fields_of<Requant>(numbers));
    Result result = {{"table", bytes_of(table_of(unit.stream.instructions()))},
                     {"buffers", bytes_of(unit.stream.buffers())}};
    set_constants(result, unit.constants, unit.uops);
    return result;
  });
}

// Of each unit: workload, schedule, numbers, byte addresses of output and inputs. The table's
// addresses are absolute but for those of constants; "units" are as in `emit_unit`, with "first".
Result emit_region_(ffi::Array<int64_t> config_values,
                    ffi::Array<ffi::Array<ffi::Array<int64_t>>> units) {
  return guarded([&]() -> Result {
    const Config config = config_of(config_values);
    std::vector<RegionUnit> all;
    for (const auto& unit : units) {
      std::vector<int64_t> buffers = {0, 0};
      for (int64_t address : unit[3]) buffers.push_back(address);
      all.push_back({parse_workload(vector_of(unit[0])), fields_of<Schedule>(unit[1]),
                     fields_of<Requant>(unit[2]), std::move(buffers)});
    }
    const Region region = emit_region(config, all);
    ffi::Array<Result> parts;
    for (const Region::Part& part : region.parts) {
      Result result = {{"first", part.first}};
      set_constants(result, part.constants, part.uops);
      parts.push_back(result);
    }
    return {{"table", bytes_of(table_of(region.stream.instructions()))},
            {"buffers", bytes_of(region.stream.buffers())},
            {"units", parts}};
  });
}

// Counters of the simulated unit, "cycles" among them.
Result measure_unit(ffi::Array<int64_t> config_values, ffi::Array<int64_t> workload_values,
                    ffi::Array<int64_t> schedule, ffi::Array<int64_t> numbers) {
  return guarded([&]() -> Result {
    const Config config = config_of(config_values);
    const RunResult result = measure(config, parse_workload(vector_of(workload_values)),
                                     fields_of<Schedule>(schedule),
                                     fields_of<Requant>(numbers));
    Result counters;
    for (const auto& [name, value] : result.counters) counters.Set(name, value);
    return counters;
  });
}

// schedules: int64[n, Schedule::kFields]; cycles: int64[n], written: cycles where `simulate`, else
// instructions, -1 where infeasible. Returns {"constraint", "message"} of each such one.
ffi::Array<Result> measure_units(ffi::Array<int64_t> config_values,
                                 ffi::Array<int64_t> workload_values, ffi::TensorView schedules,
                                 ffi::Array<int64_t> numbers, bool simulate,
                                 ffi::TensorView cycles) {
  ffi::Array<Result> refused;
  guarded([&]() -> Result {
    const Config config = config_of(config_values);
    const Workload workload = parse_workload(vector_of(workload_values));
    const Requant requant = fields_of<Requant>(numbers);
    if (schedules.numel() != cycles.numel() * Schedule::kFields) {
      throw std::invalid_argument(std::to_string(schedules.numel()) + " values for " +
                                  std::to_string(cycles.numel()) + " schedules of " +
                                  std::to_string(Schedule::kFields) + " fields");
    }
    const int64_t* from = static_cast<const int64_t*>(schedules.data_ptr());
    int64_t* to = static_cast<int64_t*>(cycles.data_ptr());
    for (int64_t i = 0; i < cycles.numel(); ++i, from += Schedule::kFields) {
      const Schedule schedule = Schedule::of(from);
      try {
        to[i] = simulate ? measure(config, workload, schedule, requant).cycles
                         : static_cast<int64_t>(
                               emit_unit(config, workload, schedule, requant)
                                   .stream.instructions().size());
      } catch (const Infeasible& problem) {
        to[i] = -1;
        refused.push_back(refusal(problem));
      }
    }
    return {};
  });
  return refused;
}

}  // namespace

TVM_FFI_DLL_EXPORT_TYPED_FUNC(emit_unit, emit_unit_);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(emit_region, emit_region_);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(measure_unit, measure_unit);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(measure_units, measure_units);
