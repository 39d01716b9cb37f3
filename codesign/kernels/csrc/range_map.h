// A value for every element of a range, kept as disjoint segments.
#ifndef CODESIGN_KERNELS_RANGE_MAP_H_
#define CODESIGN_KERNELS_RANGE_MAP_H_

#include <algorithm>
#include <cstdint>
#include <vector>

namespace codesign::units {

class RangeMap {
 public:
  // The largest value of any element in [begin, end), -1 where none was assigned.
  int32_t max(int64_t begin, int64_t end) const {
    int32_t found = -1;
    for (auto at = first_after(begin); at != segments_.end() && at->begin < end; ++at) {
      found = std::max(found, at->value);
    }
    return found;
  }

  void assign(int64_t begin, int64_t end, int32_t value) {
    if (begin >= end) return;
    auto from = first_after(begin), to = from;
    while (to != segments_.end() && to->begin < end) ++to;
    Segment parts[3];
    int count = 0;
    if (from != to && from->begin < begin) parts[count++] = {from->begin, begin, from->value};
    parts[count++] = {begin, end, value};
    if (from != to && (to - 1)->end > end) parts[count++] = {end, (to - 1)->end, (to - 1)->value};
    const auto at = segments_.erase(from, to);
    segments_.insert(at, parts, parts + count);
  }

 private:
  struct Segment {
    int64_t begin, end;
    int32_t value;
  };

  template <class Segments>
  static auto first_after_in(Segments& segments, int64_t begin) {
    return std::partition_point(segments.begin(), segments.end(),
                                [begin](const Segment& s) { return s.end <= begin; });
  }
  std::vector<Segment>::const_iterator first_after(int64_t begin) const {
    return first_after_in(segments_, begin);
  }
  std::vector<Segment>::iterator first_after(int64_t begin) {
    return first_after_in(segments_, begin);
  }

  std::vector<Segment> segments_;  // ascending, disjoint
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_RANGE_MAP_H_
