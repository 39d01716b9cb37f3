// Why a schedule cannot be emitted: a result for the caller, thrown to leave the emission at once.
#ifndef CODESIGN_KERNELS_INFEASIBLE_H_
#define CODESIGN_KERNELS_INFEASIBLE_H_

#include <cstdint>
#include <string>

namespace codesign::units {

// `constraint` is a short stable name ("acc_depth"); `message` carries the numbers.
struct Infeasible {
  std::string constraint, message;
};

inline void require_room(const char* memory, int64_t need, int64_t have) {
  if (need <= have) return;
  throw Infeasible{memory, "needs " + std::to_string(need) +
                               " elements, the configuration has " + std::to_string(have)};
}

}  // namespace codesign::units

#endif  // CODESIGN_KERNELS_INFEASIBLE_H_
