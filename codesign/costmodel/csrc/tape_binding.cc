// The only file that knows how Python reaches tapes.
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

#include <string>
#include <vector>

#include "tape.h"

namespace {

namespace ffi = tvm::ffi;
using namespace codesign::tape;  // NOLINT

template <class T, class Value>
std::vector<T> rows_of(const ffi::TensorView& values) {
  static_assert(sizeof(T) % sizeof(Value) == 0);
  const auto* from = static_cast<const T*>(values.data_ptr());
  return {from, from + values.numel() * static_cast<int64_t>(sizeof(Value)) /
                           static_cast<int64_t>(sizeof(T))};
}

void require(bool holds, const std::string& what) {
  if (!holds) TVM_FFI_THROW(ValueError) << "tape: " << what;
}

bool within(int64_t value, int64_t end) { return value >= 0 && value < end; }

void check(const Tape& tape, const std::vector<int64_t>& columns) {
  const int64_t end = tape.registers;
  require(end < 1 << 20, "too many registers");
  require(static_cast<int64_t>(tape.constants.size()) <= end, "more constants than registers");
  const auto place = [&](int32_t at) { return at == kBefore || within(at, end); };
  for (const Step& s : tape.steps) {
    require(within(s.operation, kWhere + 1) && place(s.to) && place(s.a) && place(s.b) &&
                within(s.c, end),
            "an operation or a register that does not exist");
    require(s.a != kBefore || s.b != kBefore, "a step that reads the one before twice");
  }
  for (const Input& input : tape.inputs) {
    require(within(input.to, end) && within(input.table, static_cast<int64_t>(columns.size())) &&
                within(input.column, columns[static_cast<size_t>(input.table)]),
            "an input that does not exist");
  }
  for (int32_t output : tape.outputs) require(within(output, end), "an output that does not exist");
}

// values: float64[columns, rows], index: int64[count].
Table table_of(const ffi::TensorView& values, const ffi::TensorView& index, int64_t count) {
  const auto* from = static_cast<const int64_t*>(index.data_ptr());
  const int64_t rows = values.size(1);
  require(index.numel() == count, "an index of another length");
  for (int64_t i = 0; i < count; ++i) require(within(from[i], rows), "a row out of range");
  return {static_cast<const double*>(values.data_ptr()), rows, from};
}

// steps int32[n, 5], inputs int32[n, 3], constants float64[n], outputs int32[n]; of workloads,
// configurations and a third table float64[columns, rows] and int64[count]; out float64 or
// float32[outputs, count], written.
void run_tape(ffi::TensorView steps, ffi::TensorView inputs, ffi::TensorView constants,
              ffi::TensorView outputs, int64_t registers, ffi::TensorView workloads,
              ffi::TensorView workload, ffi::TensorView configs, ffi::TensorView config,
              ffi::TensorView third, ffi::TensorView row, ffi::TensorView out) {
  Tape tape;
  tape.steps = rows_of<Step, int32_t>(steps);
  tape.inputs = rows_of<Input, int32_t>(inputs);
  tape.constants = rows_of<double, double>(constants);
  tape.outputs = rows_of<int32_t, int32_t>(outputs);
  tape.registers = static_cast<int32_t>(registers);
  const int64_t count = out.size(1);
  require(out.size(0) == static_cast<int64_t>(tape.outputs.size()), "rows of out");
  check(tape, {workloads.size(0), configs.size(0), third.size(0)});
  const std::vector<Table> tables = {table_of(workloads, workload, count),
                                     table_of(configs, config, count), table_of(third, row, count)};
  if (out.dtype().bits == 32) {
    run(tape, tables, count, static_cast<float*>(out.data_ptr()));
  } else {
    run(tape, tables, count, static_cast<double*>(out.data_ptr()));
  }
}

}  // namespace

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run_tape, run_tape);
