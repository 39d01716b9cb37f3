// Rules about the fields of one instruction.
#ifndef CODESIGN_SIM_FIELD_RULES_H_
#define CODESIGN_SIM_FIELD_RULES_H_

#include "finding.h"
#include "isa.h"

namespace codesign {

// `bytes` is null where DRAM is not known.
struct Dram {
  const uint8_t* bytes;
  int64_t size, base;
};

// Bytes of DRAM from the first to one past the last that a transfer with rows touches.
int64_t span_bytes(const Instruction& in, int64_t element_bytes);

// Whether the instruction keeps every rule without which the later checks make no sense.
bool check_fields(const Config& config, const Decoder& decoder, const Instruction& in,
                  int64_t index, bool last, const Dram& dram, Findings& findings);

// What the fields ask of upstream's implementations that these lack.
void check_portable_fields(const Decoder& decoder, const Instruction& in, int64_t index,
                           Findings& findings);

}  // namespace codesign

#endif  // CODESIGN_SIM_FIELD_RULES_H_
