// What the on-chip memories and DRAM hold and who may still touch it, through the program; the
// twin of codesign/isa/contents.py and codesign/isa/dram.py.
#ifndef CODESIGN_SIM_CONTENTS_H_
#define CODESIGN_SIM_CONTENTS_H_

#include <vector>

#include "field_rules.h"
#include "finding.h"
#include "token_play.h"

namespace codesign {

// `play` ran every instruction, each of which keeps the rules of `check_fields`.
void check_contents(const Config& config, const Decoder& decoder,
                    const std::vector<Instruction>& program, const Play& play, const Dram& dram,
                    bool portable, Findings& findings);

}  // namespace codesign

#endif  // CODESIGN_SIM_CONTENTS_H_
