// The only file that knows how Python reaches the simulator.
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/string.h>

#include "checker.h"
#include "dispatch.h"
#include "simulator.h"

namespace {

namespace ffi = tvm::ffi;

ffi::Array<ffi::String> config_fields() {
  ffi::Array<ffi::String> names;
  for (const std::string& name : codesign::Config::field_names()) names.push_back(name);
  return names;
}

// Instruction sets that this processor can run, best first.
ffi::Array<ffi::String> instruction_sets() {
  ffi::Array<ffi::String> names;
  for (const codesign::KernelTable* table : codesign::usable_kernels()) names.push_back(table->name);
  return names;
}

bool select_instruction_set(ffi::String name) { return codesign::select_kernels(name); }

// Multiply-accumulates of a loop that does nothing else; 0 where the set has no such loop.
int64_t peak_macs(int64_t rounds) {
  const auto peak = codesign::kernels().peak;
  return peak ? peak(rounds) : 0;
}

// instructions: uint8[n * instruction_bytes]; memory: uint8[m], empty when timing_only;
// timeline: int64[n, 4], or empty where not wanted. All contiguous, on the CPU.
ffi::Map<ffi::String, int64_t> simulate(ffi::Array<int64_t> config_values,
                                        ffi::TensorView instructions, ffi::TensorView memory,
                                        int64_t base_address, int64_t instruction_address,
                                        bool timing_only, ffi::TensorView timeline) {
  try {
    const std::vector<int64_t> values(config_values.begin(), config_values.end());
    const auto config = codesign::Config::from_values(values.data(), values.size());
    const size_t count = static_cast<size_t>(instructions.numel() / config.instruction_bytes);
    const bool with_timeline = timeline.numel() > 0;
    const codesign::RunResult result = codesign::run(
        config, static_cast<const uint8_t*>(instructions.data_ptr()), count,
        static_cast<uint8_t*>(memory.data_ptr()), static_cast<size_t>(memory.numel()),
        static_cast<uint64_t>(base_address), static_cast<uint64_t>(instruction_address),
        timing_only, with_timeline);
    int64_t* to = static_cast<int64_t*>(timeline.data_ptr());
    for (const codesign::Span& span : result.timeline) {
      *to++ = span.module, *to++ = span.enqueued, *to++ = span.start, *to++ = span.end;
    }
    ffi::Map<ffi::String, int64_t> counters;
    for (const auto& [name, value] : result.counters) counters.Set(name, value);
    return counters;
  } catch (const ffi::Error&) {
    throw;
  } catch (const std::exception& error) {
    TVM_FFI_THROW(ValueError) << error.what();
  }
  TVM_FFI_UNREACHABLE();
}

ffi::Array<ffi::String> rule_keys() {
  ffi::Array<ffi::String> keys;
  for (const char* key : codesign::kRuleKeys) keys.push_back(key);
  return keys;
}

// Arguments as `simulate`; without `has_memory`, rules that need it are left out. Findings as rows
// of int64: instruction, index into `rule_keys`, values.
ffi::Bytes check(ffi::Array<int64_t> config_values, ffi::TensorView instructions,
                 ffi::TensorView memory, int64_t base_address, bool has_memory, bool portable) {
  static_assert(sizeof(codesign::Finding) == (2 + codesign::kFindingValues) * sizeof(int64_t));
  try {
    const std::vector<int64_t> values(config_values.begin(), config_values.end());
    const auto config = codesign::Config::from_values(values.data(), values.size());
    const uint8_t none = 0;
    const auto* bytes = static_cast<const uint8_t*>(memory.data_ptr());
    const auto found = codesign::check(
        config, static_cast<const uint8_t*>(instructions.data_ptr()),
        static_cast<size_t>(instructions.numel() / config.instruction_bytes),
        has_memory ? (bytes ? bytes : &none) : nullptr, static_cast<size_t>(memory.numel()),
        static_cast<uint64_t>(base_address), portable);
    return ffi::Bytes(reinterpret_cast<const char*>(found.data()),
                      found.size() * sizeof(codesign::Finding));
  } catch (const ffi::Error&) {
    throw;
  } catch (const std::exception& error) {
    TVM_FFI_THROW(ValueError) << error.what();
  }
  TVM_FFI_UNREACHABLE();
}

}  // namespace

TVM_FFI_DLL_EXPORT_TYPED_FUNC(config_fields, config_fields);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simulate, simulate);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(instruction_sets, instruction_sets);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(select_instruction_set, select_instruction_set);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(peak_macs, peak_macs);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(rule_keys, rule_keys);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(check, check);
