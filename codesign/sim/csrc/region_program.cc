#include "region_program.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace codesign {
namespace {

constexpr char kMagic[] = "VTAPROG2";
constexpr int64_t kLimit = int64_t{1} << 40;

// Reads the serialised program; every length is checked against what is left.
class Reader {
 public:
  explicit Reader(const std::string& bytes) : data_(bytes) {}
  int64_t integer(int64_t low = 0, int64_t high = kLimit) {
    int64_t value;
    std::memcpy(&value, take(sizeof(value)), sizeof(value));
    if (value < low || value > high) fail();
    return value;
  }
  size_t count() { return static_cast<size_t>(integer(0, static_cast<int64_t>(data_.size()))); }
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
  [[noreturn]] static void fail() {
    throw std::invalid_argument("vta program: truncated or foreign bytes");
  }

 private:
  const std::string& data_;
  size_t position_ = 0;
};

int64_t extent(int64_t channels, int64_t height, int64_t width, const Activation& t) {
  return (channels - 1) * t.channel_step + (height - 1) * t.row_step +
         (width - 1) * t.column_step + 1;
}

Activation read_activation(Reader& in) {
  constexpr int64_t kSide = 1 << 20;
  Activation t;
  t.name = in.text();
  t.address = in.integer();
  for (int64_t* field : {&t.channels, &t.height, &t.width}) *field = in.integer(1, kSide);
  t.border = in.integer(0, kSide);
  t.zero_point = in.integer(-128, 127);
  t.is_unsigned = in.integer(0, 1);
  for (int64_t* field : {&t.image_elements, &t.channel_step, &t.row_step, &t.column_step}) {
    *field = in.integer(0, int64_t{1} << 32);
  }
  t.is_folded = in.integer(0, 1) != 0;
  t.fold = {};
  if (t.is_folded) {
    PatchFold& f = t.fold;
    for (int64_t* field : {&f.step_y, &f.step_x, &f.patch_y, &f.patch_x}) {
      *field = in.integer(1, kSide);
    }
    for (int64_t* field : {&f.before_y, &f.before_x}) *field = in.integer(-kSide, kSide);
    for (int64_t* field : {&f.channels, &f.height, &f.width}) *field = in.integer(1, kSide);
    if (t.channels != f.patch_y * f.patch_x * f.channels) Reader::fail();
  }
  const int64_t reach = t.is_folded ? extent(t.fold.channels, t.fold.height, t.fold.width, t)
                                    : extent(t.channels, t.height, t.width, t);
  if (reach > t.image_elements) Reader::fail();
  return t;
}

int64_t pixel_bytes(const RegionProgram& program) {
  return program.config.batch * program.group();
}

int64_t pitch(const Activation& t) { return t.width + 2 * t.border; }

// Bytes of one channel group.
int64_t group_bytes(const RegionProgram& program, const Activation& t) {
  return (t.height + 2 * t.border) * pitch(t) * pixel_bytes(program);
}

// Offset of lane `lane`, channel `c`, at the first column inside the border of row y.
int64_t row_offset(const RegionProgram& program, const Activation& t, int64_t c, int64_t y,
                   int64_t lane) {
  const int64_t km = program.group();
  const int64_t pixel = (y + t.border) * pitch(t) + t.border;
  return t.address + c / km * group_bytes(program, t) + pixel * pixel_bytes(program) + lane * km +
         c % km;
}

void fill_border(const RegionProgram& program, const Activation& t, uint8_t* memory) {
  const int64_t step = pixel_bytes(program);
  const auto value = static_cast<uint8_t>(t.zero_point);
  for (int64_t c = 0; c < t.channels; ++c) {
    for (int64_t lane = 0; lane < program.config.batch; ++lane) {
      for (int64_t y = -t.border; y < t.height + t.border; ++y) {
        uint8_t* row = memory + row_offset(program, t, c, y, lane);
        const bool inside = y >= 0 && y < t.height;
        for (int64_t x = -t.border; x < t.width + t.border; ++x) {
          if (!inside || x < 0 || x >= t.width) row[x * step] = value;
        }
      }
    }
  }
}

void pack_folded(const RegionProgram& program, const Activation& t, const uint8_t* image,
                 int64_t lane, uint8_t* memory) {
  const PatchFold& f = t.fold;
  const int64_t step = pixel_bytes(program);
  const uint8_t flip = t.is_unsigned ? 128 : 0;
  const auto outside = static_cast<uint8_t>(t.zero_point);
  for (int64_t channel = 0; channel < t.channels; ++channel) {
    const int64_t c = channel % f.channels, tap = channel / f.channels;
    const int64_t dy = tap / f.patch_x - f.before_y, dx = tap % f.patch_x - f.before_x;
    const uint8_t* plane = image + c * t.channel_step;
    for (int64_t y = 0; y < t.height; ++y) {
      uint8_t* to = memory + row_offset(program, t, channel, y, lane);
      const int64_t from_y = y * f.step_y + dy;
      const uint8_t* from = plane + from_y * t.row_step;
      const bool inside = from_y >= 0 && from_y < f.height;
      for (int64_t x = 0; x < t.width; ++x) {
        const int64_t from_x = x * f.step_x + dx;
        to[x * step] = inside && from_x >= 0 && from_x < f.width
                           ? static_cast<uint8_t>(from[from_x * t.column_step] ^ flip)
                           : outside;
      }
    }
  }
}

// Calls `move(row in memory, row outside)` for every lane, row and channel that exists, channels
// of a group together, so that a row of pixels stays in the cache.
template <typename Move>
void each_row(const RegionProgram& program, const Activation& t, int64_t lane, const Move& move) {
  const int64_t km = program.group();
  for (int64_t group = 0; group < t.channels; group += km) {
    const int64_t end = std::min(group + km, t.channels);
    for (int64_t y = 0; y < t.height; ++y) {
      for (int64_t c = group; c < end; ++c) {
        move(row_offset(program, t, c, y, lane), c * t.channel_step + y * t.row_step);
      }
    }
  }
}

}  // namespace

RegionProgram::RegionProgram(const std::string& bytes) {
  Reader in(bytes);
  if (std::memcmp(in.take(8), kMagic, 8) != 0) {
    throw std::invalid_argument("vta program: foreign bytes, or of another version");
  }
  std::vector<int64_t> values(in.count());
  for (int64_t& value : values) value = in.integer();
  config = Config::from_values(values.data(), values.size());
  name = in.text();
  batch = in.integer(1);
  memory_bytes = in.integer();
  for (size_t n = in.count(); n > 0; --n) {
    const auto offset = static_cast<size_t>(in.integer());
    constants.emplace_back(offset, in.text());
    const size_t size = constants.back().second.size();
    if (offset + size > static_cast<size_t>(memory_bytes)) Reader::fail();
  }
  for (size_t n = in.count(); n > 0; --n) {
    tensors.push_back(read_activation(in));
    const Activation& t = tensors.back();
    const int64_t groups = (t.channels + group() - 1) / group();
    if (t.address + groups * group_bytes(*this, t) > memory_bytes) Reader::fail();
  }
  for (std::vector<size_t>* list : {&inputs, &outputs}) {
    list->resize(in.count());
    for (size_t& index : *list) {
      index = static_cast<size_t>(in.integer(0, static_cast<int64_t>(tensors.size()) - 1));
    }
  }
  for (size_t n = in.count(); n > 0; --n) {
    Stream stream;
    stream.instructions = in.text();
    stream.count = stream.instructions.size() / static_cast<size_t>(config.instruction_bytes);
    for (size_t k = in.count(); k > 0; --k) {
      std::string unit = in.text();
      const int64_t last = in.integer(0, static_cast<int64_t>(stream.count) - 1);
      stream.units.push_back({std::move(unit), static_cast<size_t>(last)});
    }
    streams.push_back(std::move(stream));
  }
}

int64_t RegionProgram::group() const { return std::max(config.block_in, config.block_out); }

std::vector<uint8_t> initial_memory(const RegionProgram& program) {
  std::vector<uint8_t> memory(static_cast<size_t>(program.memory_bytes), 0);
  for (const auto& [offset, data] : program.constants) {
    std::memcpy(memory.data() + offset, data.data(), data.size());
  }
  for (const Activation& t : program.tensors) {
    if (t.border > 0 && t.zero_point != 0) fill_border(program, t, memory.data());
  }
  return memory;
}

void pack(const RegionProgram& program, const Activation& t, const uint8_t* outside, int64_t first,
          uint8_t* memory) {
  const int64_t step = pixel_bytes(program);
  const uint8_t flip = t.is_unsigned ? 128 : 0;
  for (int64_t lane = 0; lane < program.config.batch; ++lane) {
    if (first + lane >= program.batch) {
      each_row(program, t, lane, [&](int64_t to, int64_t) {
        for (int64_t x = 0; x < t.width; ++x) memory[to + x * step] = 0;
      });
      continue;
    }
    const uint8_t* image = outside + (first + lane) * t.image_elements;
    if (t.is_folded) {
      pack_folded(program, t, image, lane, memory);
      continue;
    }
    each_row(program, t, lane, [&](int64_t to, int64_t from) {
      for (int64_t x = 0; x < t.width; ++x) {
        memory[to + x * step] = static_cast<uint8_t>(image[from + x * t.column_step] ^ flip);
      }
    });
  }
}

void unpack(const RegionProgram& program, const Activation& t, const uint8_t* memory,
            int64_t first, uint8_t* outside) {
  const int64_t step = pixel_bytes(program);
  const uint8_t flip = t.is_unsigned ? 128 : 0;
  const int64_t lanes = std::min(program.config.batch, program.batch - first);
  for (int64_t lane = 0; lane < lanes; ++lane) {
    uint8_t* image = outside + (first + lane) * t.image_elements;
    each_row(program, t, lane, [&](int64_t from, int64_t to) {
      for (int64_t x = 0; x < t.width; ++x) {
        image[to + x * t.column_step] = memory[from + x * step] ^ flip;
      }
    });
  }
}

}  // namespace codesign
