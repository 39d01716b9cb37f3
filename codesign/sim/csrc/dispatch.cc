#include "dispatch.h"

#include <atomic>

namespace codesign {
namespace {

bool has_avx2() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

bool has_avx512() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

std::atomic<const KernelTable*>& selected() {
  static std::atomic<const KernelTable*> table{usable_kernels().front()};
  return table;
}

}  // namespace

const std::vector<const KernelTable*>& usable_kernels() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> found;
    if (has_avx512() && avx512_kernels()) found.push_back(avx512_kernels());
    if (has_avx2() && avx2_kernels()) found.push_back(avx2_kernels());
    found.push_back(portable_kernels());
    return found;
  }();
  return tables;
}

const KernelTable& kernels() { return *selected(); }

bool select_kernels(const std::string& name) {
  for (const KernelTable* table : usable_kernels()) {
    if (name != table->name) continue;
    selected() = table;
    return true;
  }
  return false;
}

}  // namespace codesign
