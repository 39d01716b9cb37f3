// Straight-line arithmetic on columns of numbers: the same operations for every row.
#ifndef CODESIGN_COSTMODEL_TAPE_H_
#define CODESIGN_COSTMODEL_TAPE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace codesign::tape {

// In the order of codesign.costmodel.tape.OPERATIONS. Comparisons give 1 or 0.
enum Operation : int32_t {
  kAdd, kSubtract, kMultiply, kDivide, kMaximum, kMinimum, kCeil, kFloor, kSquareRoot, kLog2,
  kLess, kLessEqual, kEqual, kWhere,
};

// In place of a register: a and b take the result of the step before; to keeps nothing.
constexpr int32_t kBefore = -1;

// register[to] = operation(register[a], register[b], register[c]).
struct Step {
  int32_t operation, to, a, b, c;
};

// A register that a row takes from a table: its column `column`, at the row's index.
struct Input {
  int32_t to, table, column;
};

// float64[columns, rows], and which of its rows each row of the result takes.
struct Table {
  const double* values;
  int64_t rows;
  const int64_t* index;
};

struct Tape {
  std::vector<Step> steps;
  std::vector<Input> inputs;
  std::vector<double> constants;  // the first registers
  std::vector<int32_t> outputs;   // registers
  int32_t registers = 0;
};

// out: [outputs, count] of double or float.
template <class Out>
void run(const Tape& tape, const std::vector<Table>& tables, int64_t count, Out* out);

}  // namespace codesign::tape

#endif  // CODESIGN_COSTMODEL_TAPE_H_
