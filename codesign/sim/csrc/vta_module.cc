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
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "simulator.h"

namespace {

namespace ffi = tvm::ffi;

// Reads the serialised program; every length is checked against what is left.
class Reader {
 public:
  explicit Reader(const std::string& bytes) : data_(bytes) {}
  int64_t integer() {
    int64_t value;
    std::memcpy(&value, take(sizeof(value)), sizeof(value));
    return value;
  }
  size_t count() {
    const int64_t value = integer();
    if (value < 0 || static_cast<size_t>(value) > data_.size()) fail();
    return static_cast<size_t>(value);
  }
  std::string text() {
    const size_t n = count();
    return std::string(take(n), n);
  }
  const char* take(size_t n) {
    if (n > data_.size() - position_) fail();
    const char* at = data_.data() + position_;
    position_ += n;
    return at;
  }

 private:
  [[noreturn]] static void fail() {
    TVM_FFI_THROW(ValueError) << "vta program: truncated or foreign bytes";
    TVM_FFI_UNREACHABLE();
  }
  const std::string& data_;
  size_t position_ = 0;
};

// An activation in DRAM: [group][row][column][batch lane][channel of group], border included.
struct Activation {
  int64_t address, channels, height, width, border, fill, is_unsigned, rank;
};

struct Unit {
  std::string name, instructions;
};

struct Program {
  std::vector<int64_t> config_values;
  codesign::Config config;
  std::string name;
  int64_t batch, memory_bytes;
  std::vector<std::pair<size_t, std::string>> segments;
  std::vector<Activation> tensors;
  std::vector<int64_t> inputs, outputs;
  std::vector<Unit> units;

  explicit Program(const std::string& bytes) {
    Reader in(bytes);
    if (std::memcmp(in.take(8), "VTAPROG1", 8) != 0) {
      TVM_FFI_THROW(ValueError) << "vta program: foreign bytes, or of another version";
    }
    config_values.resize(in.count());
    for (int64_t& value : config_values) value = in.integer();
    config = codesign::Config::from_values(config_values.data(), config_values.size());
    name = in.text();
    batch = in.integer();
    memory_bytes = in.integer();
    for (size_t n = in.count(); n > 0; --n) {
      const size_t offset = static_cast<size_t>(in.integer());
      segments.emplace_back(offset, in.text());
    }
    for (size_t n = in.count(); n > 0; --n) {
      Activation t;
      for (int64_t* field : {&t.address, &t.channels, &t.height, &t.width, &t.border, &t.fill,
                             &t.is_unsigned, &t.rank}) {
        *field = in.integer();
      }
      tensors.push_back(t);
    }
    for (auto* list : {&inputs, &outputs}) {
      list->resize(in.count());
      for (int64_t& index : *list) index = in.integer();
    }
    for (size_t n = in.count(); n > 0; --n) {
      std::string unit = in.text();
      units.push_back({std::move(unit), in.text()});
    }
  }
};

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
    if (name == "last_profile") {
      return ffi::Function::FromTyped([self, this]() { return profile(); });
    }
    if (name == "record_io") {
      return ffi::Function::FromTyped([self, this](bool on) { record_ = on; });
    }
    if (name == "last_io") {
      return ffi::Function::FromTyped([self, this]() { return last_io(); });
    }
    if (name == "substitute") {
      return ffi::Function::FromTyped([self, this](ffi::Optional<ffi::Function> function) {
        substitute_ = std::move(function);
      });
    }
    if (name == "initial_memory") {
      return ffi::Function::FromTyped([self, this]() {
        const std::vector<uint8_t> image = initial_memory();
        return ffi::Bytes(std::string(image.begin(), image.end()));
      });
    }
    if (name == "name") {
      return ffi::Function::FromTyped([self, this]() { return ffi::String(program_.name); });
    }
    return std::nullopt;
  }

 private:
  // Arguments: inputs, then outputs, each uint8 or int8 [batch, C, H, W] or [batch, C].
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
    if (memory_.empty()) memory_ = initial_memory();
    counters_.assign(program_.units.size(), {});
    const int64_t lanes = program_.config.batch;
    for (int64_t first = 0; first < program_.batch; first += lanes) {
      for (size_t i = 0; i < in; ++i) pack(views[i], tensor(i), first);
      run_units();
      for (size_t i = in; i < in + out; ++i) unpack(views[i], tensor(i), first);
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

  const Activation& tensor(size_t argument) const {
    const size_t in = program_.inputs.size();
    return program_.tensors[argument < in ? program_.inputs[argument]
                                          : program_.outputs[argument - in]];
  }

  void check(const ffi::TensorView& view, const Activation& t) const {
    const int64_t elements = program_.batch * t.channels * t.height * t.width;
    const DLDataType type = view.dtype();
    if (type.bits != 8 || view.numel() != elements || !view.IsContiguous()) {
      TVM_FFI_THROW(ValueError) << program_.name << ": a contiguous 8-bit tensor of " << elements
                                << " elements is wanted, got " << view.numel() << " elements of "
                                << int{type.bits} << " bits";
    }
  }

  int64_t group() const { return std::max(program_.config.block_in, program_.config.block_out); }

  uint8_t* at(std::vector<uint8_t>& memory, const Activation& t, int64_t c, int64_t y,
              int64_t lane) const {
    const int64_t km = group(), pitch = t.width + 2 * t.border, rows = t.height + 2 * t.border;
    const int64_t pixel = ((c / km) * rows + y + t.border) * pitch + t.border;
    return memory.data() + t.address + (pixel * program_.config.batch + lane) * km + c % km;
  }

  // Constants and borders in place, zeros elsewhere.
  std::vector<uint8_t> initial_memory() const {
    std::vector<uint8_t> memory(static_cast<size_t>(program_.memory_bytes), 0);
    for (const auto& [offset, data] : program_.segments) {
      if (offset > memory.size() || data.size() > memory.size() - offset) {
        TVM_FFI_THROW(ValueError) << program_.name << ": constants lie outside the memory";
      }
      std::memcpy(memory.data() + offset, data.data(), data.size());
    }
    const int64_t step = program_.config.batch * group();
    for (const Activation& t : program_.tensors) {
      if (t.border == 0 || t.fill == 0) continue;
      for (int64_t c = 0; c < t.channels; ++c) {
        for (int64_t lane = 0; lane < program_.config.batch; ++lane) {
          for (int64_t y = -t.border; y < t.height + t.border; ++y) {
            uint8_t* row = at(memory, t, c, y, lane) - t.border * step;
            for (int64_t x = 0; x < t.width + 2 * t.border; ++x) {
              row[x * step] = static_cast<uint8_t>(t.fill);
            }
          }
        }
      }
    }
    return memory;
  }

  // Lanes beyond the batch hold zero images.
  void pack(const ffi::TensorView& view, const Activation& t, int64_t first) {
    const auto* source = static_cast<const uint8_t*>(view.data_ptr());
    const int64_t step = program_.config.batch * group();
    const uint8_t flip = t.is_unsigned ? 128 : 0;
    for (int64_t lane = 0; lane < program_.config.batch; ++lane) {
      const bool present = first + lane < program_.batch;
      for (int64_t c = 0; c < t.channels; ++c) {
        for (int64_t y = 0; y < t.height; ++y) {
          uint8_t* to = at(memory_, t, c, y, lane);
          const uint8_t* from =
              source + (((first + lane) * t.channels + c) * t.height + y) * t.width;
          for (int64_t x = 0; x < t.width; ++x) {
            to[x * step] = present ? static_cast<uint8_t>(from[x] ^ flip) : 0;
          }
        }
      }
    }
  }

  void unpack(const ffi::TensorView& view, const Activation& t, int64_t first) {
    auto* target = static_cast<uint8_t*>(view.data_ptr());
    const int64_t step = program_.config.batch * group();
    const uint8_t flip = t.is_unsigned ? 128 : 0;
    const int64_t lanes = std::min(program_.config.batch, program_.batch - first);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      for (int64_t c = 0; c < t.channels; ++c) {
        for (int64_t y = 0; y < t.height; ++y) {
          const uint8_t* from = at(memory_, t, c, y, lane);
          uint8_t* to = target + (((first + lane) * t.channels + c) * t.height + y) * t.width;
          for (int64_t x = 0; x < t.width; ++x) to[x] = from[x * step] ^ flip;
        }
      }
    }
  }

  void run_units() {
    constexpr int64_t kPage = 4096;
    const int64_t instruction_address = kPage + round_up(program_.memory_bytes, kPage);
    for (size_t i = 0; i < program_.units.size(); ++i) {
      const Unit& unit = program_.units[i];
      const size_t count = unit.instructions.size() / program_.config.instruction_bytes;
      try {
        const codesign::RunResult result = codesign::run(
            program_.config, reinterpret_cast<const uint8_t*>(unit.instructions.data()), count,
            memory_.data(), memory_.size(), 0, instruction_address, false);
        for (const auto& [name, value] : result.counters) counters_[i][name] += value;
      } catch (const std::exception& error) {
        TVM_FFI_THROW(ValueError) << program_.name << ", unit " << unit.name << ": "
                                  << error.what();
      }
    }
  }

  void keep(const std::vector<ffi::TensorView>& views) {
    io_.clear();
    for (const ffi::TensorView& view : views) {
      io_.emplace_back(static_cast<const char*>(view.data_ptr()),
                       static_cast<size_t>(view.numel()));
    }
  }

  // Counters of every unit in the last call, summed over its passes: {unit: {counter: value}}.
  ffi::Map<ffi::String, ffi::Map<ffi::String, int64_t>> profile() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ffi::Map<ffi::String, ffi::Map<ffi::String, int64_t>> all;
    for (size_t i = 0; i < counters_.size(); ++i) {
      ffi::Map<ffi::String, int64_t> unit;
      for (const auto& [name, value] : counters_[i]) unit.Set(name, value);
      all.Set(program_.units[i].name, unit);
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
  const Program program_;
  std::mutex mutex_;
  std::vector<uint8_t> memory_;
  std::vector<std::map<std::string, int64_t>> counters_;
  std::vector<std::string> io_;
  bool record_ = false;
  ffi::Optional<ffi::Function> substitute_;
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
