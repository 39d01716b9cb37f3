#include <array>

#include "simulator.h"

namespace codesign {
namespace {

enum class Kind { kRange, kPowerOfTwo };

struct Rule {
  const char* name;
  int64_t Config::* field;
  int64_t low, high;
  Kind kind;
};

const std::array<Rule, 20> kRules = {{
    {"instruction_bytes", &Config::instruction_bytes, 16, 32, Kind::kPowerOfTwo},
    {"uop_bytes", &Config::uop_bytes, 4, 8, Kind::kPowerOfTwo},
    {"log_uop_depth", &Config::log_uop_depth, 0, 16, Kind::kRange},
    {"log_inp_depth", &Config::log_inp_depth, 0, 16, Kind::kRange},
    {"log_wgt_depth", &Config::log_wgt_depth, 0, 16, Kind::kRange},
    {"log_acc_depth", &Config::log_acc_depth, 0, 16, Kind::kRange},
    {"batch", &Config::batch, 1, 1024, Kind::kPowerOfTwo},
    {"block_in", &Config::block_in, 1, 1024, Kind::kPowerOfTwo},
    {"block_out", &Config::block_out, 1, 1024, Kind::kPowerOfTwo},
    {"inp_bits", &Config::inp_bits, 1, 8, Kind::kPowerOfTwo},
    {"wgt_bits", &Config::wgt_bits, 1, 8, Kind::kPowerOfTwo},
    {"acc_bits", &Config::acc_bits, 32, 32, Kind::kPowerOfTwo},
    {"bus_bits", &Config::bus_bits, 64, 4096, Kind::kPowerOfTwo},
    {"max_burst_beats", &Config::max_burst_beats, 1, 256, Kind::kPowerOfTwo},
    {"read_latency", &Config::read_latency, 0, 1 << 20, Kind::kRange},
    {"write_address_latency", &Config::write_address_latency, 0, 1 << 20, Kind::kRange},
    {"write_response_latency", &Config::write_response_latency, 0, 1 << 20, Kind::kRange},
    {"outstanding_reads", &Config::outstanding_reads, 1, 1 << 16, Kind::kRange},
    {"has_mul", &Config::has_mul, 0, 1, Kind::kRange},
    {"has_acc8", &Config::has_acc8, 0, 1, Kind::kRange},
}};

void require(bool ok, const std::string& text) {
  if (!ok) throw std::invalid_argument(text);
}

void require_whole_bytes(const char* name, int64_t bits) {
  require(bits % 8 == 0, std::string("one ") + name + " element is " + std::to_string(bits) +
                             " bits; allowed: whole bytes; use a wider block");
}

}  // namespace

const std::vector<std::string>& Config::field_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Rule& rule : kRules) all.push_back(rule.name);
    return all;
  }();
  return names;
}

Config Config::from_values(const int64_t* values, size_t count) {
  require(count == kRules.size(), "configuration of " + std::to_string(count) +
                                      " values; allowed: " + std::to_string(kRules.size()));
  Config config{};
  for (size_t i = 0; i < count; ++i) {
    const Rule& rule = kRules[i];
    const int64_t value = values[i];
    const bool power = rule.kind == Kind::kRange || (value > 0 && (value & (value - 1)) == 0);
    require(value >= rule.low && value <= rule.high && power,
            std::string(rule.name) + " is " + std::to_string(value) + "; allowed: " +
                (rule.kind == Kind::kPowerOfTwo ? "a power of two in " : "") +
                std::to_string(rule.low) + " to " + std::to_string(rule.high));
    config.*rule.field = value;
  }
  require_whole_bytes("INP", config.inp_lanes() * config.inp_bits);
  require_whole_bytes("WGT", config.wgt_lanes() * config.wgt_bits);
  require_whole_bytes("OUT", config.acc_lanes() * config.inp_bits);
  return config;
}

}  // namespace codesign
