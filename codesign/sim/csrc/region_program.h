// The program of one region: what codesign/compiler/program.py writes (the layout is there).
#ifndef CODESIGN_SIM_REGION_PROGRAM_H_
#define CODESIGN_SIM_REGION_PROGRAM_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "simulator.h"

namespace codesign {

// Patches of an image as channels: channel (dy, dx, c) of pixel (Y, X) is
// image[c, Y * step_y + dy - before_y, X * step_x + dx - before_x], or the zero point outside.
struct PatchFold {
  int64_t step_y, step_x, patch_y, patch_x, before_y, before_x;
  int64_t channels, height, width;  // of the image
};

// An activation in DRAM: [group][row][column][batch lane][channel of group], border included.
struct Activation {
  std::string name;
  int64_t address, channels, height, width, border, zero_point, is_unsigned;
  // Outside: elements of one image, and from one channel, row and column to the next.
  int64_t image_elements, channel_step, row_step, column_step;
  bool is_folded;
  PatchFold fold;
};

// `last` is the index of the unit's last STORE in its stream.
struct StreamUnit {
  std::string name;
  size_t last;
};

struct Stream {
  std::string instructions;
  size_t count;
  std::vector<StreamUnit> units;
};

struct RegionProgram {
  Config config;
  std::string name;
  int64_t batch, memory_bytes;
  std::vector<std::pair<size_t, std::string>> constants;
  std::vector<Activation> tensors;
  std::vector<size_t> inputs, outputs;
  std::vector<Stream> streams;

  // Throws std::invalid_argument on truncated or foreign bytes, or another version's.
  explicit RegionProgram(const std::string& bytes);

  // Channels of one group.
  int64_t group() const;
};

// DRAM at the first launch: constants and borders in place, zeros elsewhere.
std::vector<uint8_t> initial_memory(const RegionProgram& program);

// Moves the images [first, first + BATCH) of `outside` (batch images) into DRAM. Lanes beyond the
// batch hold zero images.
void pack(const RegionProgram& program, const Activation& t, const uint8_t* outside, int64_t first,
          uint8_t* memory);

// The inverse; a folded activation has none.
void unpack(const RegionProgram& program, const Activation& t, const uint8_t* memory,
            int64_t first, uint8_t* outside);

}  // namespace codesign

#endif  // CODESIGN_SIM_REGION_PROGRAM_H_
