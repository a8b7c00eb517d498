// The tables of the image transform, from the addon's coefficients.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "frames_tables.h"

namespace cinefuse::gpu {
namespace {

using Pass = cinefuse_frames_pass;

int64_t append(std::vector<int32_t>& to, const int32_t* from, int64_t n) {
  to.insert(to.end(), from, from + n);
  return static_cast<int64_t>(to.size()) - n;
}

// The band of outputs [from, from + 16) of a pass whose output 0 is output `zero`.
FramesBand make_band(const Pass& pass, int64_t from, int64_t zero, std::vector<uint32_t>& words) {
  const int64_t first = std::max(from, zero), last = std::min(from + 16, zero + pass.n);
  int64_t start = INT64_MAX, end = 0;
  const auto each = [&](auto&& use) {
    for (int64_t o = first; o < last; ++o) {
      const int64_t i = o - zero;
      for (int32_t t = 0; t < pass.count[i]; ++t) {
        const int32_t w = pass.fixed[i * pass.taps + t];
        if (w) use(static_cast<int>(o - from), int64_t{pass.first[i]} + t, w);
      }
    }
  };
  each([&](int, int64_t sample, int32_t) {
    start = std::min(start, sample);
    end = std::max(end, sample + 1);
  });
  FramesBand band{};
  if (end == 0) return band;
  start = start / 8 * 8;
  band.start = static_cast<int32_t>(start);
  band.end = static_cast<int32_t>(end);
  band.steps = static_cast<int32_t>(blocks_of(end - start, 32));
  band.at = static_cast<int64_t>(words.size());
  words.resize(words.size() + static_cast<size_t>(band.steps) * 3 * 32 * 4);
  uint32_t* const to = words.data() + band.at;
  each([&](int output, int64_t sample, int32_t w) {
    const int64_t step = (sample - start) / 32, k = (sample - start) % 32;
    const int64_t lane = output % 8 * 4 + k / 8, word = output / 8 + k % 8 / 4 * 2;
    for (int part = 0; part < 3; ++part) {
      const int32_t low = static_cast<int8_t>(w & 0xff);
      w = (w - low) / 256;
      to[((step * 3 + part) * 32 + lane) * 4 + word] |= static_cast<uint32_t>(low & 0xff) << 8 * (k % 4);
    }
  });
  return band;
}

int64_t make_bands(const Pass& pass, int64_t outputs, int64_t zero, FramesHostTables& tables) {
  const int64_t at = static_cast<int64_t>(tables.bands.size());
  for (int64_t from = 0; from < outputs; from += 16)
    tables.bands.push_back(make_band(pass, from, zero, tables.words));
  return at;
}

void make_float_passes(const Pass& h, const Pass& v, FramesGeometry& g, FramesHostTables& tables) {
  std::vector<int32_t> first(h.n), groups(h.n);
  for (int64_t i = 0; i < h.n; ++i) {
    first[i] = h.first[i] / 4;
    groups[i] = (h.first[i] + h.count[i] + 3) / 4 - first[i];
    g.most_groups = std::max(g.most_groups, groups[i]);
  }
  g.h_first = append(tables.integers, first.data(), h.n);
  g.h_groups = append(tables.integers, groups.data(), h.n);
  g.h_weights = static_cast<int64_t>(tables.weights.size());  // which 4 divides
  tables.weights.resize(tables.weights.size() + static_cast<size_t>(h.n) * g.most_groups * 4);
  for (int64_t i = 0; i < h.n; ++i) {
    std::copy_n(h.weights + i * h.taps, h.count[i],
                tables.weights.data() + g.h_weights + i * g.most_groups * 4 + h.first[i] % 4);
  }
  g.v_first = append(tables.integers, v.first, v.n);
  g.v_count = append(tables.integers, v.count, v.n);
  g.v_taps = v.taps;
  g.v_weights = static_cast<int64_t>(tables.weights.size());
  tables.weights.insert(tables.weights.end(), v.weights, v.weights + v.n * v.taps);
  tables.weights.resize((tables.weights.size() + 3) / 4 * 4);
}

// The rows of a picture of `height` with the outputs they count for, and where they begin in the table; -1
// when one counts for more than two, or many for none. Weights that rounding has left of nothing do not
// count.
int64_t make_rows(const Pass& v, int64_t height, std::vector<FramesRow>& rows) {
  constexpr float kNothing = 1e-7f;
  struct Range {
    int64_t first, end;
  };
  std::vector<Range> ranges(v.n);
  for (int64_t i = 0; i < v.n; ++i) {
    const float* const weights = v.weights + i * v.taps - v.first[i];
    Range& range = ranges[i];
    range = {v.first[i], int64_t{v.first[i]} + v.count[i]};
    while (range.first < range.end && std::fabs(weights[range.first]) <= kNothing) ++range.first;
    while (range.first < range.end && std::fabs(weights[range.end - 1]) <= kNothing) --range.end;
    if (i > 0 && (range.first < ranges[i - 1].first || range.end < ranges[i - 1].end)) return -1;
  }
  const int64_t at = static_cast<int64_t>(rows.size());
  const auto weight = [&](int64_t i, int64_t row) {
    return i < v.n && ranges[i].first <= row ? v.weights[i * v.taps + row - v.first[i]] : 0.f;
  };
  int64_t i = 0, idle = 0;
  for (int64_t row = 0; row < height; ++row) {
    while (i < v.n && ranges[i].end <= row) ++i;
    if (i + 2 < v.n && ranges[i + 2].first <= row) {
      rows.resize(static_cast<size_t>(at));
      return -1;
    }
    const float now = weight(i, row), next = weight(i + 1, row);
    idle += now == 0.f && next == 0.f;
    rows.push_back({static_cast<int32_t>(i), now, next, 0});
  }
  for (int k = 0; k < 2; ++k) rows.push_back({static_cast<int32_t>(v.n), 0.f, 0.f, 0});
  if (idle > height / 4 + 4) {
    rows.resize(static_cast<size_t>(at));
    return -1;
  }
  return at;
}

}  // namespace

void add_geometry(const cinefuse_frames_geometry& d, const cinefuse_frames_params& p,
                  FramesHostTables& tables) {
  FramesGeometry g{};
  g.x0 = static_cast<int32_t>(d.x0);
  g.x1 = static_cast<int32_t>(d.x1);
  g.y0 = static_cast<int32_t>(d.y0);
  g.y1 = static_cast<int32_t>(d.y1);
  g.rows = -1;
  if (d.h.fixed) {
    g.x_bands = make_bands(d.h, p.w, d.x0, tables);
    g.y_bands = make_bands(d.v, p.h, d.y0, tables);
  } else {
    make_float_passes(d.h, d.v, g, tables);
    g.rows = make_rows(d.v, d.height, tables.rows);
  }
  tables.geometries.push_back(g);
}

}  // namespace cinefuse::gpu
