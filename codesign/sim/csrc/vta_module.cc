// Runtime module of kind "vta": one region of a network, run on the simulated machine.
//
// Created from the bytes that codesign/compiler/program.py writes (the layout is described there),
// serialised by TVM's export_library, loaded again by `ffi.Module.load_from_bytes.vta`.
#include <tvm/ffi/cast.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "region_program.h"
#include "simulator.h"

namespace {

namespace ffi = tvm::ffi;
using codesign::Activation;
using codesign::RegionProgram;
using Counters = ffi::Map<ffi::String, int64_t>;

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

class VtaModule : public ffi::ModuleObj {
 public:
  explicit VtaModule(std::string bytes) : bytes_(std::move(bytes)), program_(bytes_) {}

  const char* kind() const final { return "vta"; }
  int GetPropertyMask() const final {
    return ffi::Module::kBinarySerializable | ffi::Module::kRunnable;
  }
  ffi::Bytes SaveToBytes() const final { return ffi::Bytes(bytes_); }

  ffi::Optional<ffi::Function> GetFunction(const ffi::String& name) final {
    const ffi::Module self = ffi::GetRef<ffi::Module>(this);
    if (name == program_.name) {
      return ffi::Function::FromPacked(
          [self, this](const ffi::AnyView* args, int32_t count, ffi::Any*) { call(args, count); });
    }
    if (name == "last_counters") {
      return ffi::Function::FromTyped([self, this]() { return last_counters(); });
    }
    if (name == "last_ends") {
      return ffi::Function::FromTyped([self, this]() { return last_ends(); });
    }
    if (name == "record_io") {
      return ffi::Function::FromTyped([self, this](bool on) {
        const std::lock_guard<std::mutex> lock(mutex_);
        record_ = on;
      });
    }
    if (name == "last_io") {
      return ffi::Function::FromTyped([self, this]() { return last_io(); });
    }
    if (name == "substitute") {
      return ffi::Function::FromTyped([self, this](ffi::Optional<ffi::Function> function) {
        const std::lock_guard<std::mutex> lock(mutex_);
        substitute_ = std::move(function);
      });
    }
    if (name == "engine") {
      return ffi::Function::FromTyped([self, this](ffi::Optional<ffi::Function> function) {
        const std::lock_guard<std::mutex> lock(mutex_);
        engine_ = std::move(function);
      });
    }
    if (name == "initial_memory") {
      return ffi::Function::FromTyped([self, this]() { return bytes(initial_memory(program_)); });
    }
    if (name == "last_memory") {
      return ffi::Function::FromTyped([self, this]() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return bytes(memory_);
      });
    }
    if (name == "program") {
      return ffi::Function::FromTyped([self, this]() { return ffi::Bytes(bytes_); });
    }
    if (name == "name") {
      return ffi::Function::FromTyped([self, this]() { return ffi::String(program_.name); });
    }
    return std::nullopt;
  }

 private:
  // One stream of the last call, summed over its passes. `ends` are the cycles from launch to the
  // end of each unit's last STORE.
  struct StreamTotals {
    std::map<std::string, int64_t> counters;
    std::vector<int64_t> ends;
  };

  static ffi::Bytes bytes(const std::vector<uint8_t>& data) {
    return ffi::Bytes(std::string(data.begin(), data.end()));
  }

  // Arguments: inputs, then outputs, each a contiguous uint8 or int8 array of `batch` images.
  void call(const ffi::AnyView* args, int32_t count) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t in = program_.inputs.size(), out = program_.outputs.size();
    if (static_cast<size_t>(count) != in + out) {
      TVM_FFI_THROW(ValueError) << program_.name << ": " << in + out << " tensors are wanted, got "
                                << count;
    }
    std::vector<ffi::TensorView> views;
    for (int32_t i = 0; i < count; ++i) views.push_back(args[i].cast<ffi::TensorView>());
    for (size_t i = 0; i < in + out; ++i) check(views[i], tensor(i));
    if (substitute_.has_value()) {
      call_substitute(args, views);
      return;
    }
    if (memory_.empty()) memory_ = initial_memory(program_);
    totals_.clear();
    for (const codesign::Stream& stream : program_.streams) {
      totals_.push_back({{}, std::vector<int64_t>(stream.units.size(), 0)});
    }
    const int64_t lanes = program_.config.batch;
    for (int64_t first = 0; first < program_.batch; first += lanes) {
      for (size_t i = 0; i < in; ++i) {
        pack(program_, tensor(i), data(views[i]), first, memory_.data());
      }
      for (size_t i = 0; i < program_.streams.size(); ++i) run_stream(i);
      for (size_t i = in; i < in + out; ++i) {
        unpack(program_, tensor(i), memory_.data(), first, data(views[i]));
      }
    }
    if (record_) keep(views);
  }

  // The function takes the inputs and returns the bytes of every output.
  void call_substitute(const ffi::AnyView* args, const std::vector<ffi::TensorView>& views) {
    const size_t in = program_.inputs.size();
    ffi::Any result;
    (*substitute_).CallPacked(args, static_cast<int32_t>(in), &result);
    const auto outputs = result.cast<ffi::Array<ffi::Bytes>>();
    for (size_t i = in; i < views.size(); ++i) {
      const ffi::Bytes bytes = outputs[static_cast<int64_t>(i - in)];
      if (bytes.size() != static_cast<size_t>(views[i].numel())) {
        TVM_FFI_THROW(ValueError) << program_.name << ": a substitute returned " << bytes.size()
                                  << " bytes, wanted " << views[i].numel();
      }
      std::memcpy(views[i].data_ptr(), bytes.data(), bytes.size());
    }
  }

  static uint8_t* data(const ffi::TensorView& view) {
    return static_cast<uint8_t*>(view.data_ptr());
  }

  const Activation& tensor(size_t argument) const {
    const size_t in = program_.inputs.size();
    return program_.tensors[argument < in ? program_.inputs[argument]
                                          : program_.outputs[argument - in]];
  }

  void check(const ffi::TensorView& view, const Activation& t) const {
    const int64_t elements = program_.batch * t.image_elements;
    const DLDataType type = view.dtype();
    if (type.bits != 8 || view.numel() != elements || !view.IsContiguous()) {
      TVM_FFI_THROW(ValueError) << program_.name << ": a contiguous 8-bit tensor of " << elements
                                << " elements is wanted, got " << view.numel() << " elements of "
                                << int{type.bits} << " bits";
    }
  }

  void run_stream(size_t index) {
    const codesign::Stream& stream = program_.streams[index];
    StreamTotals& totals = totals_[index];
    if (engine_.has_value()) {
      run_on_engine(index, totals);
      return;
    }
    constexpr int64_t kPage = 4096;
    const bool with_timeline = stream.units.size() > 1;
    try {
      const codesign::RunResult result = codesign::run(
          program_.config, reinterpret_cast<const uint8_t*>(stream.instructions.data()),
          stream.count, memory_.data(), memory_.size(), 0,
          round_up(program_.memory_bytes, kPage), false, with_timeline);
      for (const auto& [name, value] : result.counters) totals.counters[name] += value;
      for (size_t i = 0; i < totals.ends.size(); ++i) {
        totals.ends[i] +=
            with_timeline ? result.timeline[stream.units[i].last].end : result.cycles;
      }
    } catch (const std::exception& error) {
      TVM_FFI_THROW(ValueError) << program_.name << ", stream " << index << ": " << error.what();
    }
  }

  // The engine takes the stream's index and the memory's address and size; it changes the memory
  // and returns the counters and the units' ends.
  void run_on_engine(size_t index, StreamTotals& totals) {
    const auto result = (*engine_)(static_cast<int64_t>(index),
                                   static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory_.data())),
                                   static_cast<int64_t>(memory_.size()))
                            .cast<ffi::Array<ffi::Any>>();
    for (const auto& [name, value] : result[0].cast<Counters>()) {
      totals.counters[std::string(name)] += value;
    }
    const auto ends = result[1].cast<ffi::Array<int64_t>>();
    for (size_t i = 0; i < totals.ends.size(); ++i) {
      totals.ends[i] += ends[static_cast<int64_t>(i)];
    }
  }

  void keep(const std::vector<ffi::TensorView>& views) {
    io_.clear();
    for (const ffi::TensorView& view : views) {
      io_.emplace_back(static_cast<const char*>(view.data_ptr()),
                       static_cast<size_t>(view.numel()));
    }
  }

  // Counters of every stream.
  ffi::Array<Counters> last_counters() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ffi::Array<Counters> all;
    for (const StreamTotals& totals : totals_) {
      Counters counters;
      for (const auto& [name, value] : totals.counters) counters.Set(name, value);
      all.push_back(counters);
    }
    return all;
  }

  // Ends of the units of every stream.
  ffi::Array<ffi::Array<int64_t>> last_ends() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ffi::Array<ffi::Array<int64_t>> all;
    for (const StreamTotals& totals : totals_) {
      all.push_back(ffi::Array<int64_t>(totals.ends.begin(), totals.ends.end()));
    }
    return all;
  }

  // Bytes of the inputs and outputs of the last call, if `record_io` asked for them.
  ffi::Array<ffi::Bytes> last_io() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ffi::Array<ffi::Bytes> all;
    for (const std::string& bytes : io_) all.push_back(ffi::Bytes(bytes));
    return all;
  }

  const std::string bytes_;
  const RegionProgram program_;
  std::mutex mutex_;
  std::vector<uint8_t> memory_;
  std::vector<StreamTotals> totals_;
  std::vector<std::string> io_;
  bool record_ = false;
  ffi::Optional<ffi::Function> substitute_, engine_;
};

ffi::Module create(const ffi::Bytes& bytes) {
  try {
    return ffi::Module(ffi::make_object<VtaModule>(std::string(bytes.data(), bytes.size())));
  } catch (const ffi::Error&) {
    throw;
  } catch (const std::exception& error) {
    TVM_FFI_THROW(ValueError) << error.what();
  }
  TVM_FFI_UNREACHABLE();
}

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() {
  namespace refl = tvm::ffi::reflection;
  refl::GlobalDef()
      .def("vta.module_create", create)
      .def("ffi.Module.load_from_bytes.vta", create);
}
