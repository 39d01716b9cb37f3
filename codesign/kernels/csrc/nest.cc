#include "nest.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "window.h"

namespace codesign::units {
namespace {

constexpr int64_t kMaxIterations = (1 << 14) - 1;
constexpr int64_t kReuseDistance = 3;
constexpr int64_t kMaxSplit = 64;
constexpr int64_t kUnrolled = 64;  // reductions of so few points are one list of micro-ops
constexpr size_t kCacheEntries = 1 << 15;
constexpr Dim kUnit = {1, 0};

uint64_t hash_bytes(const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint64_t hash = 0xcbf29ce484222325u ^ size;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  }
  for (; size > 0; --size, ++bytes) hash = (hash ^ *bytes) * 0x100000001b3u;
  return hash;
}

template <class T>
struct BytesHash {
  size_t operator()(const std::vector<T>& v) const {
    return hash_bytes(v.data(), v.size() * sizeof(T));
  }
};

template <class T>
struct BytesEqual {
  bool operator()(const std::vector<T>& a, const std::vector<T>& b) const {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
  }
};

template <class T, class V>
using BytesMap = std::unordered_map<std::vector<T>, V, BytesHash<T>, BytesEqual<T>>;

MicroOps intern(std::vector<MicroOp> uops) {
  thread_local BytesMap<MicroOp, std::weak_ptr<const std::vector<MicroOp>>> known;
  std::weak_ptr<const std::vector<MicroOp>>& slot = known[uops];
  MicroOps found = slot.lock();
  if (!found) slot = found = std::make_shared<const std::vector<MicroOp>>(std::move(uops));
  if (known.size() > kCacheEntries) {
    for (auto at = known.begin(); at != known.end();) {
      at = at->second.expired() ? known.erase(at) : std::next(at);
    }
  }
  return found;
}

// Whether `outer` continues where `inner` ends, so that both are one loop.
bool covers(const Dim& outer, const Dim& inner) {
  const int64_t n = inner.extent;
  return outer.dst == inner.dst * n && outer.src == inner.src * n && outer.wgt == inner.wgt * n;
}

Dims merge(const Dims& all) {
  Dims dims;
  for (const Dim& d : all) {
    if (d.extent > 1) dims.push_back(d);
  }
  for (size_t a = 0; a < dims.size(); ++a) {
    for (size_t b = 0; b < dims.size(); ++b) {
      if (a == b || !covers(dims[a], dims[b])) continue;
      Dims fewer;
      for (size_t i = 0; i < dims.size(); ++i) {
        if (i != a && i != b) fewer.push_back(dims[i]);
      }
      fewer.push_back(dims[b]);
      fewer.back().extent *= dims[a].extent;
      return merge(fewer);
    }
  }
  return dims;
}

// The nest itself, then with one output loop cut in two at each small divisor.
std::vector<Dims> splits(const Dims& dims) {
  std::vector<Dims> all = {dims};
  for (size_t k = 0; k < dims.size(); ++k) {
    const Dim& dim = dims[k];
    if (dim.dst == 0) continue;
    for (int64_t part = 2; part < std::min(dim.extent, kMaxSplit + 1); ++part) {
      if (dim.extent % part != 0) continue;
      Dims cut = dims;
      cut[k].extent = part;
      const Dim outer = {dim.extent / part, dim.dst * part, dim.src * part, dim.wgt * part};
      cut.insert(cut.begin() + static_cast<std::ptrdiff_t>(k), outer);
      all.push_back(std::move(cut));
    }
  }
  return all;
}

int64_t points(const Dims& dims) {
  int64_t count = 1;
  for (const Dim& d : dims) count *= d.extent;
  return count;
}

// Micro-ops of the loops that stay: reductions outermost, so that accumulators alternate.
std::vector<MicroOp> unroll(const Dims& dims) {
  std::vector<MicroOp> uops = {{0, 0, 0}};
  Dims order = dims;
  std::stable_partition(order.begin(), order.end(), [](const Dim& d) { return d.dst == 0; });
  for (const Dim& d : order) {
    std::vector<MicroOp> more;
    more.reserve(uops.size() * static_cast<size_t>(d.extent));
    for (const MicroOp& u : uops) {
      for (int64_t i = 0; i < d.extent; ++i) {
        more.push_back({static_cast<int32_t>(u.dst + i * d.dst),
                        static_cast<int32_t>(u.src + i * d.src),
                        static_cast<int32_t>(u.wgt + i * d.wgt)});
      }
    }
    uops = std::move(more);
  }
  return uops;
}

// Whether the order of execution keeps the reuse distance, micro-ops as `unroll` has them.
bool legal(const Dim& outer, const Dim& inner, const Dims& rest) {
  Dims outputs;
  int64_t repeats = 1;
  for (const Dim& d : rest) {
    if (d.dst == 0) {
      repeats *= d.extent;
    } else {
      outputs.push_back(d);
    }
  }
  const std::vector<MicroOp> uops = unroll(outputs);
  int64_t last = INT64_MIN, before = INT64_MIN;
  for (int64_t o = 0; o < std::min<int64_t>(outer.extent, 3); ++o) {
    for (int64_t i = 0; i < inner.extent; ++i) {
      // Iterations in the middle only repeat those before, shifted.
      if (i == 3 && inner.extent > 6) i = inner.extent - 3, last = before = INT64_MIN;
      const int64_t base = o * outer.dst + i * inner.dst;
      for (int64_t r = 0; r < std::min<int64_t>(repeats, 2); ++r) {
        for (const MicroOp& u : uops) {
          const int64_t dst = base + u.dst;
          if (dst == last || dst == before) return false;
          before = last, last = dst;
        }
      }
    }
  }
  return true;
}

NestPtr search(const Dims& dims, int64_t max_uops) {
  struct Option {
    int64_t count;
    size_t variant, a, b;
  };
  std::vector<Dims> variants = splits(merge(dims));
  std::vector<Option> options;
  for (size_t v = 0; v < variants.size(); ++v) {
    Dims& loops = variants[v];
    loops.push_back(kUnit);
    loops.push_back(kUnit);
    const int64_t total = points(loops);
    for (size_t a = 0; a < loops.size(); ++a) {
      for (size_t b = 0; b < loops.size(); ++b) {
        if (a == b || std::max(loops[a].extent, loops[b].extent) > kMaxIterations) continue;
        const int64_t count = total / (loops[a].extent * loops[b].extent);
        if (count <= max_uops) options.push_back({count, v, a, b});
      }
    }
  }
  std::stable_sort(options.begin(), options.end(),
                   [](const Option& x, const Option& y) { return x.count < y.count; });
  for (const Option& option : options) {
    const Dims& loops = variants[option.variant];
    Dims rest;
    for (size_t i = 0; i < loops.size(); ++i) {
      if (i != option.a && i != option.b) rest.push_back(loops[i]);
    }
    if (!legal(loops[option.a], loops[option.b], rest)) continue;
    return std::make_shared<const Nest>(
        Nest{loops[option.a], loops[option.b], intern(unroll(rest))});
  }
  return nullptr;
}

Dims with_dst(const Dims& dims, bool outputs) {
  Dims found;
  for (const Dim& d : dims) {
    if ((d.dst != 0) == outputs) found.push_back(d);
  }
  return found;
}

}  // namespace

NestPtr plan(const Dims& dims, int64_t max_uops) {
  thread_local BytesMap<int64_t, NestPtr> cache;
  if (cache.size() > kCacheEntries) cache.clear();
  std::vector<int64_t> key = {max_uops};
  for (const Dim& d : dims) key.insert(key.end(), {d.extent, d.dst, d.src, d.wgt});
  const auto [at, added] = cache.try_emplace(std::move(key));
  if (added) at->second = search(dims, max_uops);
  return at->second;
}

MicroOps unrolled(const Dims& dims) { return intern(unroll(dims)); }

int64_t partial_sums(int64_t outputs) {
  return outputs >= kReuseDistance ? 1 : (kReuseDistance + outputs - 1) / outputs;
}

NestPtr plan_partial(const Dims& dims, int64_t outputs, int64_t scratch, int64_t max_uops) {
  if (points(dims) > max_uops) return nullptr;
  const int64_t partials = partial_sums(outputs);
  const std::vector<MicroOp> inner = unroll(with_dst(dims, true));
  std::vector<MicroOp> uops;
  int64_t r = 0;
  for (const MicroOp& reduction : unroll(with_dst(dims, false))) {
    const int64_t p = r++ % partials;
    for (size_t j = 0; j < inner.size(); ++j) {
      const int64_t partial = scratch + (p - 1) * outputs + static_cast<int64_t>(j);
      uops.push_back({p ? static_cast<int32_t>(partial) : inner[j].dst,
                      inner[j].src + reduction.src, inner[j].wgt + reduction.wgt});
    }
  }
  return std::make_shared<const Nest>(Nest{kUnit, kUnit, intern(std::move(uops))});
}

std::vector<Turn> plan_turns(const Dims& dims, int64_t outputs, int64_t scratch,
                             int64_t max_uops) {
  if (points(dims) <= kUnrolled) {
    const NestPtr nest = plan_partial(dims, outputs, scratch, max_uops);
    return nest ? std::vector<Turn>{{nest, 0, 0}} : std::vector<Turn>{};
  }
  const int64_t partials = partial_sums(outputs);
  Dims rest = dims;
  rest.push_back(kUnit);
  std::stable_sort(rest.begin(), rest.end(), [](const Dim& a, const Dim& b) {
    return (a.dst == 0 ? a.extent : 0) > (b.dst == 0 ? b.extent : 0);
  });
  const Dim longest = rest.front();
  rest.front() = {longest.extent / partials, 0, longest.src * partials, longest.wgt * partials};
  if (rest.front().extent == 0) return {};
  const Dim outer = rest[0], inner = rest[1].dst == 0 ? rest[1] : kUnit;
  rest.erase(rest.begin(), rest.begin() + (rest[1].dst == 0 ? 2 : 1));
  const std::vector<MicroOp> own = unroll(with_dst(rest, true));
  const std::vector<MicroOp> reductions = unroll(with_dst(rest, false));
  if (static_cast<int64_t>(own.size() * reductions.size()) * partials > max_uops) return {};
  std::vector<MicroOp> uops;
  for (const MicroOp& reduction : reductions) {
    for (int64_t p = 0; p < partials; ++p) {
      for (size_t j = 0; j < own.size(); ++j) {
        const int64_t dst =
            p ? scratch + (p - 1) * outputs + static_cast<int64_t>(j) : own[j].dst;
        uops.push_back({static_cast<int32_t>(dst),
                        static_cast<int32_t>(own[j].src + reduction.src + p * longest.src),
                        static_cast<int32_t>(own[j].wgt + reduction.wgt + p * longest.wgt)});
      }
    }
  }
  std::vector<Turn> turns = {
      {std::make_shared<const Nest>(Nest{outer, inner, intern(std::move(uops))}), 0, 0}};
  const int64_t done = outer.extent * partials;
  if (done == longest.extent) return turns;
  Dims left = dims;
  for (Dim& d : left) {
    if (d.dst == 0 && d.extent == longest.extent && d.src == longest.src &&
        d.wgt == longest.wgt) {
      d.extent -= done;
      break;
    }
  }
  const std::vector<Turn> more = plan_turns(left, outputs, scratch, max_uops);
  if (more.empty()) return {};
  for (const Turn& t : more) {
    turns.push_back({t.nest, t.src + done * longest.src, t.wgt + done * longest.wgt});
  }
  return turns;
}

std::vector<Nest> partial_sum_nests(const Dims& dims, int64_t outputs, int64_t scratch) {
  const std::vector<MicroOp> inner = unroll(with_dst(dims, true));
  std::vector<Nest> nests;
  for (int64_t p = 1; p < partial_sums(outputs); ++p) {
    std::vector<MicroOp> uops;
    for (size_t j = 0; j < inner.size(); ++j) {
      const int64_t partial = scratch + (p - 1) * outputs + static_cast<int64_t>(j);
      uops.push_back({inner[j].dst, static_cast<int32_t>(partial), 0});
    }
    nests.push_back({kUnit, kUnit, intern(std::move(uops))});
  }
  return nests;
}

NestPtr linear(int64_t count, int64_t dst, int64_t src) {
  return plan({{count, dst, src}}, kMaxField);
}

}  // namespace codesign::units
