// Equal slots of a scratchpad, filled in turn; a key still there is not loaded again.
#ifndef CODESIGN_KERNELS_RING_H_
#define CODESIGN_KERNELS_RING_H_

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace codesign::units {

class Ring {
 public:
  Ring(int64_t slots, int64_t size, int64_t base = 0)
      : size_(size), base_(base), keys_(static_cast<size_t>(slots), -1) {}

  struct Slot {
    int64_t address;
    bool missing;  // the key must be loaded
  };

  // Keys are not negative.
  Slot use(int64_t key) {
    const auto [at, missing] = where_.try_emplace(key, next_);
    if (missing) {
      where_.erase(keys_[next_]);
      keys_[next_] = key;
      next_ = (next_ + 1) % keys_.size();
    }
    return {base_ + static_cast<int64_t>(at->second) * size_, missing};
  }

 private:
  int64_t size_, base_;
  std::vector<int64_t> keys_;
  std::unordered_map<int64_t, size_t> where_;
  size_t next_ = 0;
};

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_RING_H_
