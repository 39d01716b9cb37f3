#include "tape.h"

#include <algorithm>
#include <cmath>

namespace codesign::tape {
namespace {

// Rows at once: long enough to hide dispatch, short enough to keep registers in cache.
constexpr int64_t kLanes = 128;

template <class Apply>
inline __attribute__((always_inline)) void each(double* to, const Apply& apply) {
  // A step may write the register that it reads, lane by lane.
#pragma omp simd
  for (int64_t i = 0; i < kLanes; ++i) to[i] = apply(i);
}

inline __attribute__((always_inline)) void step(const Step& s, double* registers) {
  double* to = registers + s.to * kLanes;
  const double* a = registers + s.a * kLanes;
  const double* b = registers + s.b * kLanes;
  const double* c = registers + s.c * kLanes;
  switch (s.operation) {
    case kAdd: return each(to, [=](int64_t i) { return a[i] + b[i]; });
    case kSubtract: return each(to, [=](int64_t i) { return a[i] - b[i]; });
    case kMultiply: return each(to, [=](int64_t i) { return a[i] * b[i]; });
    case kDivide: return each(to, [=](int64_t i) { return a[i] / b[i]; });
    case kMaximum: return each(to, [=](int64_t i) { return a[i] > b[i] ? a[i] : b[i]; });
    case kMinimum: return each(to, [=](int64_t i) { return a[i] < b[i] ? a[i] : b[i]; });
    case kCeil: return each(to, [=](int64_t i) { return std::ceil(a[i]); });
    case kFloor: return each(to, [=](int64_t i) { return std::floor(a[i]); });
    case kSquareRoot: return each(to, [=](int64_t i) { return std::sqrt(a[i]); });
    case kLog2: return each(to, [=](int64_t i) { return std::log2(a[i]); });
    case kLess: return each(to, [=](int64_t i) { return a[i] < b[i] ? 1.0 : 0.0; });
    case kLessEqual: return each(to, [=](int64_t i) { return a[i] <= b[i] ? 1.0 : 0.0; });
    case kEqual: return each(to, [=](int64_t i) { return a[i] == b[i] ? 1.0 : 0.0; });
    case kWhere: return each(to, [=](int64_t i) { return a[i] != 0.0 ? b[i] : c[i]; });
  }
}

template <class Out>
inline __attribute__((always_inline)) void run_all(const Tape& tape,
                                                   const std::vector<Table>& tables,
                                                   int64_t count, Out* out) {
  std::vector<double> storage(static_cast<size_t>(tape.registers * kLanes + kLanes));
  // Aligned to what one vector instruction reads.
  const auto address = reinterpret_cast<uintptr_t>(storage.data());
  double* registers = storage.data() + (64 - address % 64) % 64 / sizeof(double);
  for (size_t k = 0; k < tape.constants.size(); ++k) {
    std::fill_n(registers + static_cast<int64_t>(k) * kLanes, kLanes, tape.constants[k]);
  }
  for (int64_t first = 0; first < count; first += kLanes) {
    const int64_t lanes = std::min(kLanes, count - first);
    for (const Input& input : tape.inputs) {
      const Table& table = tables[static_cast<size_t>(input.table)];
      const double* column = table.values + input.column * table.rows;
      double* to = registers + input.to * kLanes;
      for (int64_t i = 0; i < lanes; ++i) to[i] = column[table.index[first + i]];
      std::fill(to + lanes, to + kLanes, to[0]);
    }
    for (const Step& s : tape.steps) step(s, registers);
    for (size_t k = 0; k < tape.outputs.size(); ++k) {
      const double* from = registers + tape.outputs[k] * kLanes;
      Out* to = out + static_cast<int64_t>(k) * count + first;
      for (int64_t i = 0; i < lanes; ++i) to[i] = static_cast<Out>(from[i]);
    }
  }
}

#if defined(__x86_64__)
template <class Out>
__attribute__((target("avx2"))) void run_avx2(const Tape& tape, const std::vector<Table>& tables,
                                              int64_t count, Out* out) {
  run_all(tape, tables, count, out);
}

template <class Out>
__attribute__((target("avx512f,avx512dq,avx512vl,prefer-vector-width=512"))) void run_avx512(
    const Tape& tape, const std::vector<Table>& tables, int64_t count, Out* out) {
  run_all(tape, tables, count, out);
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

}  // namespace

template <class Out>
void run(const Tape& tape, const std::vector<Table>& tables, int64_t count, Out* out) {
#if defined(__x86_64__)
  if (has_avx512()) return run_avx512(tape, tables, count, out);
  if (__builtin_cpu_supports("avx2")) return run_avx2(tape, tables, count, out);
#endif
  run_all(tape, tables, count, out);
}

template void run(const Tape&, const std::vector<Table>&, int64_t, double*);
template void run(const Tape&, const std::vector<Table>&, int64_t, float*);

}  // namespace codesign::tape
