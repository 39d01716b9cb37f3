#include "gemm_plan.h"

#include <algorithm>

#include "dispatch.h"

namespace codesign {
namespace {

// Steps kept in a list; longer reductions are cut (memory stays bounded).
constexpr int64_t kLongestReduction = 4096;

int64_t reduction_run(const MicroOp* uops, int64_t count) {
  int64_t n = 1;
  while (n < count && uops[n].dst == uops[0].dst) ++n;
  return n;
}

int64_t row_run(const MicroOp* uops, int64_t count) {
  int64_t n = 1;
  while (n < count && uops[n].wgt == uops[0].wgt && uops[n].dst > uops[n - 1].dst) ++n;
  return n;
}

}  // namespace

void GemmPlan::run(const Instruction& in, const MicroOp* uops, int64_t count,
                   const GemmStrides& strides, const Operands& operands) {
  strides_ = strides;
  const GemmStrides& s = strides;
  const Axis axes[2] = {
      {in.iter_out,
       {in.dst_factor_out * s.acc, in.src_factor_out * s.inp, in.wgt_factor_out * s.wgt}},
      {in.iter_in, {in.dst_factor_in * s.acc, in.src_factor_in * s.inp, in.wgt_factor_in * s.wgt}}};
  for (int64_t first = 0; first < count;) {
    const int64_t reduction = reduction_run(uops + first, count - first);
    const int64_t rows = row_run(uops + first, count - first);
    const int64_t taken = std::max(reduction, rows);
    segment(axes, uops + first, taken, reduction >= rows, operands);
    first += taken;
  }
}

void GemmPlan::repeat(std::vector<Offsets>& list, const Axis& axis) {
  const size_t once = list.size();
  list.resize(once * axis.count);
  const Offsets* from = list.data();
  // Each entry is the one a whole turn before it, shifted once more.
  for (Offsets *to = list.data() + once, *end = list.data() + list.size(); to != end; ++to, ++from) {
    *to = {from->dst + axis.step.dst, from->src + axis.step.src, from->wgt + axis.step.wgt};
  }
}

void GemmPlan::segment(const Axis (&axes)[2], const MicroOp* uops, int64_t count, bool reduction,
                       const Operands& operands) {
  const GemmStrides& s = strides_;
  rows_.assign(1, {0, 0, 0});
  steps_.clear();
  // Rows cover dst offsets in [0, span); an axis that steps at least that far cannot repeat one.
  int64_t span = s.acc;
  const int64_t extent = (int64_t{uops[count - 1].dst} - uops[0].dst) * s.acc;
  bool axis_done[2] = {false, false}, uops_done = false;
  if (reduction) {
    for (int64_t u = 0; u < count; ++u) steps_.push_back({0, uops[u].src * s.inp, uops[u].wgt * s.wgt});
    uops_done = true;
  } else {
    steps_.push_back({0, 0, uops[0].wgt * s.wgt});
    rows_[0].src = uops[0].src * s.inp;
  }
  for (const int a : {1, 0}) {
    if (axes[a].count == 1) axis_done[a] = true;
    const auto listed = static_cast<int64_t>(steps_.size()) * axes[a].count;
    if (axis_done[a] || axes[a].step.dst != 0 || listed > kLongestReduction) continue;
    repeat(steps_, axes[a]);
    axis_done[a] = true;
  }
  int64_t gap = INT64_MAX;  // between the dst of neighbouring micro-ops
  for (int64_t u = 1; u < count; ++u) {
    gap = std::min(gap, (int64_t{uops[u].dst} - uops[u - 1].dst) * s.acc);
  }
  // The finest axis first: inner rows of a feature map before its outer ones.
  for (const int a : {1, 0}) {
    if (axis_done[a] || axes[a].step.wgt != 0 || uops_done) continue;
    const int64_t reach = axes[a].step.dst * (axes[a].count - 1);
    if (axes[a].step.dst < span || reach + span > gap) continue;
    repeat(rows_, axes[a]);
    span += reach;
    axis_done[a] = true;
  }
  if (!uops_done) {
    // The micro-ops repeat whatever rows there are already.
    const size_t once = rows_.size();
    const int64_t first_src = uops[0].src * s.inp;
    for (int64_t u = 1; u < count; ++u) {
      const int64_t dst = (int64_t{uops[u].dst} - uops[0].dst) * s.acc;
      const int64_t src = uops[u].src * s.inp - first_src;
      for (size_t k = 0; k < once; ++k) rows_.push_back({rows_[k].dst + dst, rows_[k].src + src, 0});
    }
    span += extent;
  }
  for (const int a : {1, 0}) {
    if (axis_done[a] || axes[a].step.wgt != 0 || axes[a].step.dst < span) continue;
    repeat(rows_, axes[a]);
    span += axes[a].step.dst * (axes[a].count - 1);
    axis_done[a] = true;
  }
  if (s.batch > 1) repeat(rows_, {s.batch, {s.acc_row, s.inp_row, 0}});
  const GemmBlock block = {rows_.data(), steps_.data(), static_cast<int64_t>(rows_.size()),
                           static_cast<int64_t>(steps_.size())};
  const auto gemm = kernels().gemm;
  const Offsets &outer = axes[0].step, &inner = axes[1].step;
  for (int64_t o = 0; o < (axis_done[0] ? 1 : axes[0].count); ++o) {
    for (int64_t i = 0; i < (axis_done[1] ? 1 : axes[1].count); ++i) {
      gemm(operands, block,
           {uops[0].dst * s.acc + o * outer.dst + i * inner.dst, o * outer.src + i * inner.src,
            o * outer.wgt + i * inner.wgt});
    }
  }
}

}  // namespace codesign
