#include "tape.h"

#include <algorithm>
#include <cmath>
#include <utility>

// Whatever the compiler is told to build for belongs to the caller's processor.
#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))

namespace codesign::tape {
namespace {

// The result of a step, which stays in `kVectors` vector registers for the next: enough rows to hide
// dispatch, few enough to keep the tape's registers in cache.
template <int kBytes, int kVectors>
struct Lanes {
  // NOLINTNEXTLINE(modernize-use-using)
  typedef double Vector __attribute__((vector_size(kBytes), may_alias));
  static constexpr int64_t kCount = kVectors * kBytes / static_cast<int64_t>(sizeof(double));
  static constexpr auto kEach = std::make_integer_sequence<int, kVectors>{};
  Vector v[kVectors];
};

enum Source { kLast, kRegister, kConstant };

// A step with its sources known: `form` is `form_of`, the rest are bytes from the first register.
struct Instruction {
  int32_t form, to, a, b, c;
};

constexpr int32_t form_of(int32_t operation, int32_t a, int32_t b, bool kept) {
  return ((operation * 3 + a) * 3 + b) * 2 + kept;
}

template <Operation kOperation, class Vector>
INLINE void apply(Vector& x, const Vector& a, const Vector& b, const Vector& c) {
  const Vector no = {}, yes = no + 1.0;
  if constexpr (kOperation == kAdd) x = a + b;
  if constexpr (kOperation == kSubtract) x = a - b;
  if constexpr (kOperation == kMultiply) x = a * b;
  if constexpr (kOperation == kDivide) x = a / b;
  if constexpr (kOperation == kMaximum) x = a > b ? a : b;
  if constexpr (kOperation == kMinimum) x = a < b ? a : b;
  if constexpr (kOperation == kLess) x = a < b ? yes : no;
  if constexpr (kOperation == kLessEqual) x = a <= b ? yes : no;
  if constexpr (kOperation == kEqual) x = a == b ? yes : no;
  if constexpr (kOperation == kWhere) x = a != no ? b : c;
}

template <Operation kOperation>
INLINE double apply(double x) {
  if constexpr (kOperation == kCeil) return std::ceil(x);
  if constexpr (kOperation == kFloor) return std::floor(x);
  if constexpr (kOperation == kSquareRoot) return std::sqrt(x);
  return std::log2(x);
}

template <Source kSource, class Vector>
INLINE void read(Vector& to, const Vector& last, const char* from, int i) {
  if constexpr (kSource == kLast) to = last;
  if constexpr (kSource == kRegister) to = reinterpret_cast<const Vector*>(from)[i];
  if constexpr (kSource == kConstant) to = Vector{} + *reinterpret_cast<const double*>(from);
}

// Unrolled by hand: vectors of an array that a loop indexes would leave their registers.
template <Operation kOperation, Source kA, Source kB, bool kKept, class Lanes, int... kIndex>
INLINE void step(const Instruction& s, char* registers, Lanes& last,
                 std::integer_sequence<int, kIndex...>) {
  using Vector = typename Lanes::Vector;
  const auto one = [&](auto index) INLINE_LAMBDA {
    constexpr int i = decltype(index)::value;
    Vector a, b, c = {};
    read<kA>(a, last.v[i], registers + s.a, i);
    read<kB>(b, last.v[i], registers + s.b, i);
    if constexpr (kOperation == kWhere) read<kRegister>(c, c, registers + s.c, i);
    apply<kOperation>(last.v[i], a, b, c);
    if constexpr (kKept) reinterpret_cast<Vector*>(registers + s.to)[i] = last.v[i];
  };
  (one(std::integral_constant<int, kIndex>{}), ...);
}

// By way of memory: nothing need outlive a call in vector registers.
template <Operation kOperation, Source kA, bool kKept, class Lanes, int... kIndex>
INLINE void step_alone(const Instruction& s, char* registers, Lanes& last,
                       std::integer_sequence<int, kIndex...>) {
  using Vector = typename Lanes::Vector;
  alignas(Vector) double lanes[Lanes::kCount];
  auto* vectors = reinterpret_cast<Vector*>(lanes);
  (read<kA>(vectors[kIndex], last.v[kIndex], registers + s.a, kIndex), ...);
#pragma omp simd
  for (int64_t i = 0; i < Lanes::kCount; ++i) lanes[i] = apply<kOperation>(lanes[i]);
  ((last.v[kIndex] = vectors[kIndex]), ...);
  auto* to = reinterpret_cast<Vector*>(registers + s.to);
  if constexpr (kKept) ((to[kIndex] = last.v[kIndex]), ...);
}

#define FORM(operation, a, b)                                       \
  case form_of(operation, a, b, false):                             \
    step<operation, a, b, false>(s, registers, last, Lanes::kEach); \
    break;                                                          \
  case form_of(operation, a, b, true):                              \
    step<operation, a, b, true>(s, registers, last, Lanes::kEach);  \
    break;
#define ALONE(operation, a)                                           \
  case form_of(operation, a, kRegister, false):                       \
    step_alone<operation, a, false>(s, registers, last, Lanes::kEach); \
    break;                                                            \
  case form_of(operation, a, kRegister, true):                        \
    step_alone<operation, a, true>(s, registers, last, Lanes::kEach);  \
    break;
#define UNARY(operation) ALONE(operation, kLast) ALONE(operation, kRegister)
#define TERNARY(operation)                                               \
  FORM(operation, kLast, kRegister) FORM(operation, kRegister, kRegister) \
  FORM(operation, kRegister, kLast)
#define BINARY(operation)                                               \
  TERNARY(operation)                                                    \
  FORM(operation, kLast, kConstant) FORM(operation, kRegister, kConstant)

template <class Lanes>
INLINE void interpret(const std::vector<Instruction>& instructions, char* registers) {
  Lanes last = {};
  for (const Instruction& s : instructions) {
    switch (s.form) {
      BINARY(kAdd) BINARY(kSubtract) BINARY(kMultiply) BINARY(kDivide)
      BINARY(kMaximum) BINARY(kMinimum) BINARY(kLess) BINARY(kLessEqual) BINARY(kEqual)
      UNARY(kCeil) UNARY(kFloor) UNARY(kSquareRoot) UNARY(kLog2)
      TERNARY(kWhere)
    }
  }
}

#undef BINARY
#undef TERNARY
#undef UNARY
#undef ALONE
#undef FORM

std::vector<Instruction> instructions_of(const Tape& tape, int64_t register_bytes) {
  const auto constants = static_cast<int32_t>(tape.constants.size());
  const auto bytes = [&](int32_t place) {
    return static_cast<int32_t>(std::max(place, 0) * register_bytes);
  };
  const auto source = [](int32_t place) { return place == kBefore ? kLast : kRegister; };
  std::vector<Instruction> found;
  found.reserve(tape.steps.size());
  for (const Step& s : tape.steps) {
    const bool binary = s.operation < kCeil || (s.operation > kLog2 && s.operation < kWhere);
    const bool constant = binary && s.b != kBefore && s.b < constants;
    const Source b = constant ? kConstant : source(s.b);
    const int32_t form = form_of(s.operation, source(s.a), b, s.to != kBefore);
    found.push_back({form, bytes(s.to), bytes(s.a), bytes(s.b), bytes(s.c)});
  }
  return found;
}

// The interpreter of an instruction set, and the rows that it takes at once.
struct Interpreter {
  void (*run)(const std::vector<Instruction>&, char*);
  int64_t lanes;
};

using Lanes128 = Lanes<16, 12>;

void interpret_any(const std::vector<Instruction>& instructions, char* registers) {
  interpret<Lanes128>(instructions, registers);
}

#if defined(__x86_64__)
using Lanes256 = Lanes<32, 12>;
using Lanes512 = Lanes<64, 12>;

__attribute__((target("avx2"))) void interpret_avx2(const std::vector<Instruction>& instructions,
                                                    char* registers) {
  interpret<Lanes256>(instructions, registers);
}

__attribute__((target("avx512f,avx512dq,avx512vl,prefer-vector-width=512"))) void interpret_avx512(
    const std::vector<Instruction>& instructions, char* registers) {
  interpret<Lanes512>(instructions, registers);
}
#endif

Interpreter best_interpreter() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return {interpret_avx512, Lanes512::kCount};
  }
  if (__builtin_cpu_supports("avx2")) return {interpret_avx2, Lanes256::kCount};
#endif
  return {interpret_any, Lanes128::kCount};
}

}  // namespace

// Grids of pairs take the same row of a table again and again, or rows that follow one another.
enum class Pattern { kSame, kFollowing, kAny };

Pattern pattern_of(const int64_t* rows, int64_t count) {
  bool same = true, following = true;
  for (int64_t i = 0; i < count; ++i) {
    same &= rows[i] == rows[0];
    following &= rows[i] == rows[0] + i;
  }
  return same ? Pattern::kSame : following ? Pattern::kFollowing : Pattern::kAny;
}

void load(const double* column, const int64_t* rows, int64_t count, Pattern pattern, double* to) {
  switch (pattern) {
    case Pattern::kSame: std::fill_n(to, count, column[rows[0]]); break;
    case Pattern::kFollowing: std::copy_n(column + rows[0], count, to); break;
    case Pattern::kAny: std::transform(rows, rows + count, to, [=](int64_t i) { return column[i]; });
  }
}

template <class Out>
void run(const Tape& tape, const std::vector<Table>& tables, int64_t count, Out* out) {
  const Interpreter interpreter = best_interpreter();
  const int64_t width = interpreter.lanes;
  std::vector<double> storage(static_cast<size_t>(tape.registers * width + width));
  // Aligned to what one vector instruction reads.
  const auto address = reinterpret_cast<uintptr_t>(storage.data());
  double* registers = storage.data() + (64 - address % 64) % 64 / sizeof(double);
  for (size_t k = 0; k < tape.constants.size(); ++k) {
    std::fill_n(registers + static_cast<int64_t>(k) * width, width, tape.constants[k]);
  }
  std::vector<Pattern> patterns(tables.size());
  const std::vector<Instruction> instructions = instructions_of(tape, width * sizeof(double));
  for (int64_t first = 0; first < count; first += width) {
    const int64_t lanes = std::min(width, count - first);
    for (size_t t = 0; t < tables.size(); ++t) {
      patterns[t] = pattern_of(tables[t].index + first, lanes);
    }
    for (const Input& input : tape.inputs) {
      const auto number = static_cast<size_t>(input.table);
      const Table& table = tables[number];
      double* to = registers + input.to * width;
      load(table.values + input.column * table.rows, table.index + first, lanes, patterns[number],
           to);
      std::fill(to + lanes, to + width, to[0]);
    }
    interpreter.run(instructions, reinterpret_cast<char*>(registers));
    for (size_t k = 0; k < tape.outputs.size(); ++k) {
      const double* from = registers + tape.outputs[k] * width;
      Out* to = out + static_cast<int64_t>(k) * count + first;
      for (int64_t i = 0; i < lanes; ++i) to[i] = static_cast<Out>(from[i]);
    }
  }
}

template void run(const Tape&, const std::vector<Table>&, int64_t, double*);
template void run(const Tape&, const std::vector<Table>&, int64_t, float*);

}  // namespace codesign::tape
