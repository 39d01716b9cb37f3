#include "state.h"

#include <algorithm>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "dispatch.h"

namespace codesign {
namespace {

// VTA_SPEC.md 5.4: lane i of a sub-byte element lies at bit i * width, lowest bits first.
template <typename Lane>
void unpack(const uint8_t* from, int64_t lanes, int64_t width, Lane* to) {
  if (width == 8) {
    for (int64_t i = 0; i < lanes; ++i) to[i] = static_cast<int8_t>(from[i]);
    return;
  }
  const int drop = static_cast<int>(8 - width);
  for (int64_t i = 0; i < lanes; ++i) {
    const int64_t bit = i * width;
    const auto raised = static_cast<uint8_t>(from[bit / 8] >> bit % 8 << drop);
    to[i] = static_cast<Lane>(static_cast<int8_t>(raised) >> drop);
  }
}

void pack(const int8_t* from, int64_t lanes, int64_t width, uint8_t* to) {
  if (width == 8) {
    std::memcpy(to, from, lanes);
    return;
  }
  std::memset(to, 0, lanes * width / 8);
  const int mask = (1 << width) - 1;
  for (int64_t i = 0; i < lanes; ++i) {
    const int64_t bit = i * width;
    to[bit / 8] = static_cast<uint8_t>(to[bit / 8] | (from[i] & mask) << bit % 8);
  }
}

// [block_out][block_in] to [pairs][block_out][2], widened; an odd last channel gets a zero.
void interleave(const int8_t* from, int64_t block_in, int64_t block_out, int16_t* to) {
  int64_t co = 0;
#if defined(__SSE2__)
  for (; block_in % 8 == 0 && co + 4 <= block_out; co += 4) {
    for (int64_t ci = 0; ci < block_in; ci += 8) {
      __m128i rows[4];  // four pairs of one output channel each
      for (int k = 0; k < 4; ++k) {
        const auto* at = reinterpret_cast<const __m128i*>(from + (co + k) * block_in + ci);
        const __m128i bytes = _mm_loadl_epi64(at);
        rows[k] = _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
      }
      const __m128i low01 = _mm_unpacklo_epi32(rows[0], rows[1]);
      const __m128i low23 = _mm_unpacklo_epi32(rows[2], rows[3]);
      const __m128i high01 = _mm_unpackhi_epi32(rows[0], rows[1]);
      const __m128i high23 = _mm_unpackhi_epi32(rows[2], rows[3]);
      const __m128i columns[4] = {
          _mm_unpacklo_epi64(low01, low23), _mm_unpackhi_epi64(low01, low23),
          _mm_unpacklo_epi64(high01, high23), _mm_unpackhi_epi64(high01, high23)};
      for (int k = 0; k < 4; ++k) {
        auto* at = reinterpret_cast<__m128i*>(to + (ci / 2 + k) * 2 * block_out + 2 * co);
        _mm_storeu_si128(at, columns[k]);
      }
    }
  }
#endif
  for (; co < block_out; ++co) {
    for (int64_t ci = 0; ci < block_in; ++ci) {
      to[ci / 2 * 2 * block_out + 2 * co + ci % 2] = from[co * block_in + ci];
    }
  }
}

}  // namespace

State::State(const Config& config, const Decoder& decoder, uint8_t* memory, size_t memory_bytes,
             uint64_t base_address)
    : config_(config),
      decoder_(decoder),
      memory_(memory),
      memory_bytes_(memory_bytes),
      base_address_(base_address),
      pairs_((config.block_in + 1) / 2),
      inp_lanes_(2 * pairs_ * config.batch),
      wgt_lanes_(2 * pairs_ * config.block_out),
      uop_(decoder.depth(kUop)),
      inp_(decoder.depth(kInp) * inp_lanes_),
      wgt_(decoder.depth(kWgt) * wgt_lanes_),
      lanes_(std::max(config.inp_lanes(), config.wgt_lanes())),
      acc_(decoder.depth(kAcc) * config.acc_lanes()),
      out_(decoder.depth(kOut) * config.acc_lanes()) {}

void State::execute(const Instruction& in, int64_t index) {
  if (in.is_noop()) return;
  switch (in.opcode) {
    case kLoad: return load(in, index);
    case kStore: return store(in, index);
    case kGemm: return gemm(in, index);
    case kAlu: return alu(in, index);
    default: return;
  }
}

uint8_t* State::dram(const Instruction& in, int64_t index) {
  const uint64_t size = static_cast<uint64_t>(decoder_.element_bytes(in.memory_type));
  const uint64_t begin = static_cast<uint64_t>(in.dram_base) * size;
  const uint64_t rows = static_cast<uint64_t>(in.y_size - 1) * static_cast<uint64_t>(in.x_stride);
  const uint64_t end = begin + (rows + static_cast<uint64_t>(in.x_size)) * size;
  if (begin < base_address_ || end - base_address_ > memory_bytes_) {
    fault(index, "dram_range",
          "bytes " + std::to_string(begin) + " to " + std::to_string(end) +
              "; memory holds bytes " + std::to_string(base_address_) + " to " +
              std::to_string(base_address_ + memory_bytes_) + "; make memory larger or move it");
  }
  return memory_ + (begin - base_address_);
}

void State::load(const Instruction& in, int64_t index) {
  const int64_t size = decoder_.element_bytes(in.memory_type);
  const uint8_t* from = dram(in, index);
  const int64_t pitch = int64_t{in.x_pad_0} + in.x_size + in.x_pad_1;
  int64_t sram = in.sram_base;
  clear_elements(in.memory_type, sram, pitch * in.y_pad_0);
  sram += pitch * in.y_pad_0;
  for (int64_t y = 0; y < in.y_size; ++y) {
    clear_elements(in.memory_type, sram, in.x_pad_0);
    load_elements(in.memory_type, sram + in.x_pad_0, from + y * in.x_stride * size, in.x_size);
    clear_elements(in.memory_type, sram + in.x_pad_0 + in.x_size, in.x_pad_1);
    sram += pitch;
  }
  clear_elements(in.memory_type, sram, pitch * in.y_pad_1);
}

void State::load_elements(int32_t memory_type, int64_t sram, const uint8_t* from, int64_t count) {
  const Config& c = config_;
  switch (memory_type) {
    case kUop:
      for (int64_t i = 0; i < count; ++i) {
        uop_[sram + i] = decoder_.decode_uop(from + i * c.uop_bytes);
      }
      return;
    case kWgt:
      return load_wgt(sram, from, count);
    case kInp:
      return load_inp(sram, from, count);
    case kAcc8:
      return unpack(from, count * c.acc_lanes(), 8, &acc_[sram * c.acc_lanes()]);
    default:
      for (int64_t i = 0; i < count * c.acc_lanes(); ++i) {
        const uint8_t* b = from + 4 * i;
        const uint32_t value = b[0] | b[1] << 8 | b[2] << 16 | static_cast<uint32_t>(b[3]) << 24;
        acc_[sram * c.acc_lanes() + i] = static_cast<int32_t>(value);
      }
  }
}

void State::load_inp(int64_t sram, const uint8_t* from, int64_t count) {
  const Config& c = config_;
  if (c.block_in > 1) {
    return unpack(from, count * c.inp_lanes(), c.inp_bits, &inp_[sram * inp_lanes_]);
  }
  for (int64_t e = 0; e < count; ++e) {
    unpack(from + e * decoder_.element_bytes(kInp), c.batch, c.inp_bits, lanes_.data());
    for (int64_t b = 0; b < c.batch; ++b) inp_[(sram + e) * inp_lanes_ + 2 * b] = lanes_[b];
  }
}

void State::load_wgt(int64_t sram, const uint8_t* from, int64_t count) {
  const Config& c = config_;
  const int64_t size = decoder_.element_bytes(kWgt);
  for (int64_t e = 0; e < count; ++e) {
    const auto* lanes = reinterpret_cast<const int8_t*>(from + e * size);
    if (c.wgt_bits < 8) {
      unpack(from + e * size, c.wgt_lanes(), c.wgt_bits, lanes_.data());
      lanes = lanes_.data();
    }
    interleave(lanes, c.block_in, c.block_out, &wgt_[(sram + e) * wgt_lanes_]);
  }
}

void State::clear_elements(int32_t memory_type, int64_t sram, int64_t count) {
  const Config& c = config_;
  switch (memory_type) {
    case kUop: std::fill_n(uop_.begin() + sram, count, MicroOp{}); return;
    case kWgt: std::fill_n(wgt_.begin() + sram * wgt_lanes_, count * wgt_lanes_, 0); return;
    case kInp: std::fill_n(inp_.begin() + sram * inp_lanes_, count * inp_lanes_, 0); return;
    default: std::fill_n(acc_.begin() + sram * c.acc_lanes(), count * c.acc_lanes(), 0);
  }
}

void State::store(const Instruction& in, int64_t index) {
  const int64_t size = decoder_.element_bytes(kOut), lanes = config_.acc_lanes();
  uint8_t* to = dram(in, index);
  for (int64_t y = 0; y < in.y_size; ++y) {
    const int8_t* from = &out_[(in.sram_base + y * in.x_size) * lanes];
    pack(from, in.x_size * lanes, config_.inp_bits, to + y * in.x_stride * size);
  }
}

void State::check_indices(const Instruction& in, int64_t index, const char* name,
                          int32_t MicroOp::*field, int32_t factor_out, int32_t factor_in,
                          int64_t depth) const {
  int64_t largest = 0;
  for (int64_t u = in.uop_bgn; u < in.uop_end; ++u) {
    largest = std::max<int64_t>(largest, uop_[u].*field);
  }
  largest += int64_t{in.iter_out - 1} * factor_out + int64_t{in.iter_in - 1} * factor_in;
  if (largest >= depth) {
    fault(index, "index_range",
          std::string(name) + " reaches " + std::to_string(largest) + "; allowed: 0 to " +
              std::to_string(depth - 1));
  }
}

void State::gemm(const Instruction& in, int64_t index) {
  const int64_t lanes = config_.acc_lanes();
  check_indices(in, index, "dst", &MicroOp::dst, in.dst_factor_out, in.dst_factor_in,
                decoder_.depth(kAcc));
  const MicroOp* uops = &uop_[in.uop_bgn];
  const int64_t count = in.uop_end - in.uop_bgn;
  if (in.reset) {
    for (int64_t o = 0; o < in.iter_out; ++o) {
      for (int64_t i = 0; i < in.iter_in; ++i) {
        const int64_t dst = o * in.dst_factor_out + i * in.dst_factor_in;
        for (int64_t u = 0; u < count; ++u) {
          std::fill_n(acc_.begin() + (dst + uops[u].dst) * lanes, lanes, 0);
        }
      }
    }
    return;
  }
  check_indices(in, index, "src", &MicroOp::src, in.src_factor_out, in.src_factor_in,
                decoder_.depth(kInp));
  check_indices(in, index, "wgt", &MicroOp::wgt, in.wgt_factor_out, in.wgt_factor_in,
                decoder_.depth(kWgt));
  const GemmStrides strides = {config_.batch, 2 * pairs_,       inp_lanes_,
                               wgt_lanes_,    config_.block_out, lanes};
  plan_.run(in, uops, count, strides,
            {config_.block_out, pairs_, inp_.data(), wgt_.data(), acc_.data(), out_.data()});
}

void State::alu(const Instruction& in, int64_t index) {
  check_indices(in, index, "dst", &MicroOp::dst, in.dst_factor_out, in.dst_factor_in,
                decoder_.depth(kAcc));
  check_indices(in, index, "src", &MicroOp::src, in.src_factor_out, in.src_factor_in,
                decoder_.depth(kAcc));
  kernels().alu({&uop_[in.uop_bgn], in.uop_end - in.uop_bgn, config_.acc_lanes(), in.iter_out,
                 in.iter_in, in.dst_factor_out, in.dst_factor_in, in.src_factor_out,
                 in.src_factor_in, in.alu_opcode, in.imm, in.use_imm, acc_.data(), out_.data()});
}

}  // namespace codesign
