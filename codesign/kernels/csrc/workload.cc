#include "workload.h"

#include <stdexcept>

namespace codesign::units {
namespace {

enum Kind : int64_t { kConv, kMaxPool, kAvgPool, kElementwise, kGather };

// Takes values one by one, in the order of the Python fields.
class Reader {
 public:
  explicit Reader(const std::vector<int64_t>& values) : values_(values) {}
  int64_t next() {
    if (at_ == values_.size()) throw std::invalid_argument("workload of too few values");
    return values_[at_++];
  }
  Pair pair() { return {next(), next()}; }
  Pads pads() { return {next(), next(), next(), next()}; }
  bool done() const { return at_ == values_.size(); }

 private:
  const std::vector<int64_t>& values_;
  size_t at_ = 0;
};

Workload parse(Reader& from) {
  const int64_t kind = from.next();
  switch (kind) {
    case kConv:
      return Conv{from.next(), from.next(), from.next(), from.next(), from.pair(), from.pair(),
                  from.pads(), from.next(), from.next(), from.next(), from.next(), from.pair(),
                  from.pair(), from.next(), from.next() != 0, from.next() != 0};
    case kMaxPool:
    case kAvgPool:
      return Pool{kind == kAvgPool, from.next(), from.next(), from.next(), from.pair(),
                  from.pair(), from.pads(), from.next(), from.next(), from.next()};
    case kElementwise: {
      Elementwise w{from.next(), from.next(), from.next(), from.next(),
                    {},          from.next(), from.next()};
      for (int64_t i = 0; i < w.operands; ++i) w.in_borders.push_back(from.next());
      return w;
    }
    case kGather: {
      Gather w{from.next(), from.next(), from.pair(), from.pads(), from.next(), from.next(), {}, {}};
      const int64_t inputs = from.next(), picks = from.next();
      for (int64_t i = 0; i < inputs; ++i) w.inputs.push_back({from.next(), from.next()});
      for (int64_t i = 0; i < picks; ++i) w.picks.push_back({from.next(), from.next()});
      return w;
    }
    default: throw std::invalid_argument("unknown workload kind " + std::to_string(kind));
  }
}

}  // namespace

Workload parse_workload(const std::vector<int64_t>& values) {
  Reader from(values);
  Workload workload = parse(from);
  if (!from.done()) throw std::invalid_argument("workload of too many values");
  return workload;
}

TensorLayout target(const Workload& workload) {
  return std::visit([](const auto& w) { return w.target(); }, workload);
}

std::vector<TensorLayout> sources(const Workload& workload) {
  return std::visit([](const auto& w) { return w.sources(); }, workload);
}

Schedule Schedule::of(const int64_t* v) {
  return {static_cast<Dataflow>(v[0]), v[1], v[2], v[3], v[4], v[5] != 0,
          v[6], v[7], v[8], v[9], v[10], v[11] != 0};
}

Requant Requant::of(const int64_t* v) { return {v[0], v[1], v[2], v[3], v[4]}; }

}  // namespace codesign::units
