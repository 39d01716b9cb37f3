// Inner loops of GEMM and ALU. Each instruction set has a table of them, compiled in its own file
// with its own flags; the best one that the processor has is chosen when the library is loaded.
//
// This header and what the per-set files include stay free of library templates: code that the
// compiler emits there with wide instructions must never be shared with other files.
#ifndef CODESIGN_SIM_KERNELS_H_
#define CODESIGN_SIM_KERNELS_H_

#include <cstdint>

namespace codesign {

// Offsets of one micro-op, or of a part of it, in lanes of the arrays of `Operands`.
struct Offsets {
  int64_t dst, src, wgt;
};

struct Operands {
  int64_t block_out;
  int64_t pairs;       // of input channels; an odd last one is paired with zeros
  const int16_t* inp;  // [element][batch][pairs][2]
  const int16_t* wgt;  // [element][pairs][block_out][2]
  int32_t* acc;        // [element][batch][block_out]
  int8_t* out;         // likewise
};

// The micro-ops { base + row + step }: a matrix product, as all rows share their weights.
// Rows differ in dst and src and never share a dst; steps differ in src and wgt (a reduction).
struct GemmBlock {
  const Offsets *rows, *steps;
  int64_t row_count, step_count;
};

// An ALU instruction's loop nest over micro-ops; factors and micro-op indices in elements.
struct AluNest {
  const struct MicroOp* uops;
  int64_t count, lanes;
  int32_t iter_out, iter_in, dst_out, dst_in, src_out, src_in;
  int32_t operation, imm;  // operation: AluOp
  bool use_imm;
  int32_t* acc;
  int8_t* out;
};

struct KernelTable {
  const char* name;
  void (*gemm)(const Operands&, const GemmBlock&, const Offsets& base);
  void (*alu)(const AluNest&);
  // Multiply-accumulates done by a loop of `rounds` of the set's densest int8 instruction alone.
  int64_t (*peak)(int64_t rounds);
};

// Null where the file was compiled for another processor family.
const KernelTable* portable_kernels();
const KernelTable* avx2_kernels();
const KernelTable* avx512_kernels();

}  // namespace codesign

#endif  // CODESIGN_SIM_KERNELS_H_
