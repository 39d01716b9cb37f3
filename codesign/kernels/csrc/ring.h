// Equal slots of a scratchpad; a key still there is not loaded again, else it takes the slot that
// has not been used for longest.
#ifndef CODESIGN_KERNELS_RING_H_
#define CODESIGN_KERNELS_RING_H_

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace codesign::units {

class Ring {
 public:
  Ring(int64_t slots, int64_t size, int64_t base = 0)
      : size_(size), base_(base), slots_(static_cast<size_t>(slots)) {}

  struct Slot {
    int64_t address;
    bool missing;  // the key must be loaded
  };

  // Keys are not negative.
  Slot use(int64_t key) {
    const auto found = where_.find(key);
    const bool missing = found == where_.end();
    const size_t at = missing ? oldest() : found->second;
    if (missing) {
      where_.erase(slots_[at].key);
      slots_[at].key = key;
      where_[key] = at;
    }
    slots_[at].used = ++uses_;
    return {base_ + static_cast<int64_t>(at) * size_, missing};
  }

 private:
  struct Entry {
    int64_t key = -1, used = 0;
  };

  size_t oldest() const {
    const auto before = [](const Entry& a, const Entry& b) { return a.used < b.used; };
    const auto least = std::min_element(slots_.begin(), slots_.end(), before);
    return static_cast<size_t>(least - slots_.begin());
  }

  int64_t size_, base_, uses_ = 0;
  std::vector<Entry> slots_;
  std::unordered_map<int64_t, size_t> where_;
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_RING_H_
