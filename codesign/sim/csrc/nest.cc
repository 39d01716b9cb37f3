#include "nest.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace codesign {
namespace {

constexpr int64_t kReuseDistance = 3;

// Whether o * a + i * b == c for some 0 <= o < outer and 0 <= i < inner.
bool solvable(int64_t a, int64_t outer, int64_t b, int64_t inner, int64_t c) {
  if (outer <= 0 || inner <= 0) return false;
  if (outer > inner) std::swap(outer, inner), std::swap(a, b);
  for (int64_t o = 0; o < (a == 0 ? 1 : outer); ++o) {
    const int64_t rest = c - o * a;
    if (b == 0 ? rest == 0 : rest % b == 0 && rest / b >= 0 && rest / b < inner) return true;
  }
  return false;
}

// Whether the micro-op `gap` places behind some other one has that one's dst in `field`, whose
// factors are `outer` and `inner`.
bool recurs(const Instruction& in, const MicroOp* uops, int32_t MicroOp::*field, int64_t outer,
            int64_t inner, int64_t gap) {
  const int64_t count = in.uop_end - in.uop_bgn;
  const int64_t a = outer - in.dst_factor_out, b = inner - in.dst_factor_in;
  for (int64_t u = 0; u < count; ++u) {
    const int64_t turns = (u + gap) / count;  // of the inner loop
    const int64_t wanted = uops[u].dst - uops[(u + gap) % count].*field;
    if (solvable(a, in.iter_out, b, in.iter_in - turns, wanted - turns * inner)) return true;
    for (int64_t i = std::max<int64_t>(0, in.iter_in - turns); i < in.iter_in; ++i) {
      const int64_t more = (i + turns) / in.iter_in, next = (i + turns) % in.iter_in;
      const int64_t rest = wanted - more * outer - next * inner + i * in.dst_factor_in;
      if (solvable(a, in.iter_out - more, 0, 1, rest)) return true;
    }
  }
  return false;
}

bool recurs_soon(const Instruction& in, const MicroOp* uops, int32_t MicroOp::*field,
                 int64_t outer, int64_t inner) {
  for (int64_t gap = 1; gap < kReuseDistance; ++gap) {
    if (recurs(in, uops, field, outer, inner, gap)) return true;
  }
  return false;
}

}  // namespace

const Nest& Nests::of(const Instruction& in, const std::vector<MicroOp>& uops) {
  const std::array<int32_t, 13> key = {
      in.opcode,         in.reset,         in.use_imm,        in.uop_bgn,        in.uop_end,
      in.iter_out,       in.iter_in,       in.dst_factor_out, in.dst_factor_in,  in.src_factor_out,
      in.src_factor_in,  in.wgt_factor_out, in.wgt_factor_in};
  const auto [at, added] = known_.try_emplace(key);
  Nest& nest = at->second;
  if (!added) return nest;
  const MicroOp* window = &uops[in.uop_bgn];
  const bool gemm = in.opcode == kGemm, computes = !(gemm && in.reset);
  bool fits = expand(in, window, 0, &MicroOp::dst, in.dst_factor_out, in.dst_factor_in,
                     decoder_.depth(kAcc), nest, nest.dst);
  if (computes) {
    fits = fits && expand(in, window, 1, &MicroOp::src, in.src_factor_out, in.src_factor_in,
                          decoder_.depth(gemm ? kInp : kAcc), nest, nest.src);
  }
  if (computes && gemm) {
    fits = fits && expand(in, window, 2, &MicroOp::wgt, in.wgt_factor_out, in.wgt_factor_in,
                          decoder_.depth(kWgt), nest, nest.wgt);
  }
  if (fits && portable_) follow(in, window, nest);
  return nest;
}

// The set {micro-ops} + {inner steps} + {outer steps}, one sum after the other, as intervals.
bool Nests::expand(const Instruction& in, const MicroOp* uops, int operand, Field field,
                   int64_t outer, int64_t inner, int64_t depth, Nest& nest, Intervals& found) {
  const int64_t count = in.uop_end - in.uop_bgn;
  int64_t largest = 0;
  for (int64_t u = 0; u < count; ++u) largest = std::max<int64_t>(largest, uops[u].*field);
  const int64_t reach = largest + outer * (in.iter_out - 1) + inner * (in.iter_in - 1);
  if (reach >= depth) {
    nest.operand = operand, nest.reach = reach, nest.limit = depth - 1;
    return false;
  }
  marks_.assign(depth, 0);
  for (int64_t u = 0; u < count; ++u) marks_[uops[u].*field] = 1;
  repeat(inner, in.iter_in, largest);
  repeat(outer, in.iter_out, largest + inner * (in.iter_in - 1));
  const uint8_t *first = marks_.data(), *end = first + depth;
  for (const uint8_t* at = first; at != end;) {
    const void* one = std::memchr(at, 1, end - at);
    if (!one) break;
    const auto* begin = static_cast<const uint8_t*>(one);
    const void* zero = std::memchr(begin, 0, end - begin);
    at = zero ? static_cast<const uint8_t*>(zero) : end;
    found.push_back({begin - first, at - first});
  }
  return true;
}

// marks |= marks shifted by step, 2 step, ..., (count - 1) step; marks end at `largest`. Each
// turn doubles the shifts that are in; the last one may overlap those before.
void Nests::repeat(int64_t step, int64_t count, int64_t largest) {
  if (step == 0) return;
  for (int64_t done = 1; done < count;) {
    const int64_t more = std::min(done, count - done), extent = largest + (done - 1) * step + 1;
    once_.assign(marks_.begin(), marks_.begin() + extent);
    const uint8_t* __restrict from = once_.data();
    uint8_t* __restrict to = &marks_[more * step];
    for (int64_t k = 0; k < extent; ++k) to[k] |= from[k];
    done += more;
  }
}

void Nests::follow(const Instruction& in, const MicroOp* uops, Nest& nest) {
  nest.repeats_dst = recurs_soon(in, uops, &MicroOp::dst, in.dst_factor_out, in.dst_factor_in);
  if (in.opcode != kAlu) return;
  nest.reads_recent = !in.use_imm && recurs_soon(in, uops, &MicroOp::src, in.src_factor_out,
                                                 in.src_factor_in);
  const MicroOp* end = uops + (in.uop_end - in.uop_bgn);
  nest.names_wgt = std::any_of(uops, end, [](const MicroOp& uop) { return uop.wgt != 0; });
  nest.src_differs = std::any_of(uops, end, [](const MicroOp& uop) { return uop.src != uop.dst; });
}

}  // namespace codesign
