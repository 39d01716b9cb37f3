// Runs mutated programs and looks for crashes: built with sanitizers by codesign/testing/fuzz.py.
//
//   fuzz CORPUS STREAMS SEED
//
// CORPUS: little-endian int64s (configuration values, instructions, bytes of memory, base address),
// then the instructions and the memory, one program after another. An illegal stream must end in
// ProgramFault that names an instruction, and none that the checker calls clean may be illegal;
// anything else stops the process with an error.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "../checker.h"
#include "../dispatch.h"
#include "../isa.h"
#include "../simulator.h"

namespace {

using codesign::Config;
constexpr int64_t kMicroOps = 20000;  // a stream beyond that would only be slow

struct Program {
  Config config;
  std::vector<uint8_t> instructions, memory;
  uint64_t base;
};

std::vector<Program> read_corpus(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const auto number = [&] {
    int64_t value = 0;
    file.read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  };
  std::vector<Program> programs;
  while (file.peek() != std::ifstream::traits_type::eof()) {
    std::vector<int64_t> values(Config::field_names().size());
    for (int64_t& value : values) value = number();
    Program program{Config::from_values(values.data(), values.size()), {}, {}, 0};
    program.instructions.resize(number() * program.config.instruction_bytes);
    program.memory.resize(number());
    program.base = static_cast<uint64_t>(number());
    file.read(reinterpret_cast<char*>(program.instructions.data()), program.instructions.size());
    file.read(reinterpret_cast<char*>(program.memory.data()), program.memory.size());
    programs.push_back(std::move(program));
  }
  return programs;
}

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  size_t below(size_t limit) { return random_() % limit; }

  void mutate(Program& program) {
    for (size_t times = 1 + below(4); times > 0; --times) {
      const size_t size = program.config.instruction_bytes;
      std::vector<uint8_t>& code = program.instructions;
      const size_t count = code.size() / size;
      const size_t at = size * below(count), other = size * below(count);
      switch (below(8)) {
        case 0: code[below(code.size())] = static_cast<uint8_t>(random_()); break;
        case 1: std::swap_ranges(&code[at], &code[at] + size, &code[other]); break;
        case 2: std::memmove(&code[at], &code[other], size); break;
        case 3:
          if (count > 1) code.erase(code.begin() + at, code.begin() + at + size);
          break;
        case 4: program.memory[below(program.memory.size())] ^= 1 << below(8); break;
        default: code[below(code.size())] ^= 1 << below(8);
      }
    }
  }

 private:
  std::mt19937_64 random_;
};

bool quick(const Program& program) {
  const codesign::Decoder decoder(program.config);
  const int64_t size = program.config.instruction_bytes;
  int64_t total = 0, index = 0;
  for (size_t at = 0; at < program.instructions.size(); at += size, ++index) {
    try {
      const codesign::Instruction in = decoder.decode(&program.instructions[at], index);
      if (in.opcode == codesign::kGemm || in.opcode == codesign::kAlu) total += in.micro_ops();
    } catch (const codesign::ProgramFault&) {
      return true;  // the run ends there
    }
    if (total > kMicroOps) return false;
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const std::vector<Program> corpus = read_corpus(arguments[1]);
  const long streams = std::atol(arguments[2]);
  Mutator mutator(std::strtoull(arguments[3], nullptr, 10));
  long ran = 0, legal = 0, refused = 0;
  while (ran < streams) {
    Program program = corpus[mutator.below(corpus.size())];
    mutator.mutate(program);
    if (!quick(program)) continue;
    ++ran;
    const auto& sets = codesign::usable_kernels();
    codesign::select_kernels(sets[mutator.below(sets.size())]->name);
    // Exactly as large as said, so that the sanitizer sees the byte behind it.
    const std::vector<uint8_t> code(program.instructions), data(program.memory);
    std::vector<uint8_t> memory(data);
    const bool timing_only = mutator.below(4) == 0;
    const size_t instructions = code.size() / program.config.instruction_bytes;
    const bool clean = codesign::check(program.config, code.data(), instructions, data.data(),
                                       data.size(), program.base, mutator.below(2) == 0)
                           .empty();
    try {
      codesign::run(program.config, code.data(), instructions,
                    timing_only ? nullptr : memory.data(), memory.size(), program.base,
                    program.base + memory.size(), timing_only, mutator.below(2) == 0);
      ++legal;
    } catch (const codesign::ProgramFault& fault) {
      if (std::strncmp(fault.what(), "instruction ", 12) != 0) {
        std::fprintf(stderr, "no instruction named: %s\n", fault.what());
        return 1;
      }
      if (clean) {
        std::fprintf(stderr, "clean, but: %s\n", fault.what());
        return 1;
      }
      ++refused;
    }
  }
  std::printf("%ld %ld %ld\n", ran, legal, refused);
  return 0;
}
