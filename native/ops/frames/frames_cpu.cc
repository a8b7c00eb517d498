#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "../../core/pool.h"
#include "coefficients.h"
#include "frames.h"
#include "frames_simd.h"
#include "frames_target.h"
#include "planar.h"
#include "rows.h"

namespace cinefuse {
namespace {

// Whether output i + 1 begins where output i - 1 has ended, but for weights that rounding left of nothing.
bool two_at_most(const Coefficients& c) {
  for (int64_t i = 1; i + 1 < c.n; ++i) {
    if (c.first[i] < c.first[i - 1] || c.first[i + 1] < c.first[i]) return false;
    for (int64_t t = c.first[i + 1] - c.first[i - 1]; t < c.count[i - 1]; ++t) {
      if (std::fabs(c.weights[(i - 1) * c.taps + t]) > 1e-7f) return false;
    }
  }
  return true;
}

CpuPlan make_plan(const FramesTransform& t, int32_t width, int32_t height, Isa isa) {
  CpuPlan p{make_frame_plan(t, width, height), false, {}, {}, {}, {}};
  p.two_at_most = t.rounding == Rounding::kFloat && two_at_most(p.v);
  if (planar_supported(isa)) p.planar = PlanarPass(p.h, t.rounding);
  if (p.two_at_most && p.planar.pays()) {
    p.chroma_h = on_halves(p.h);
    p.chroma_v = on_halves(p.v);
    p.chroma_pass = PlanarPass(p.chroma_h, t.rounding);
  }
  return p;
}

// The plans of the last few sizes: what a trailer's frames or a catalogue's posters ask for again and again
// costs a tenth of a small picture's time.
std::shared_ptr<const CpuPlan> plan_for(const FramesTransform& t, int32_t width, int32_t height, Isa isa) {
  using Key = std::array<int64_t, 9>;
  struct Known {
    Key key;
    std::shared_ptr<const CpuPlan> plan;
  };
  constexpr size_t kMostKnown = 8, kMostWeights = size_t{1} << 18;
  static std::mutex mutex;
  static std::list<Known>& known = *new std::list<Known>;  // lives as long as the threads that ask for it

  const Key key{t.resize_h,
                t.resize_w,
                t.crop_h,
                t.crop_w,
                static_cast<int64_t>(t.filter),
                static_cast<int64_t>(t.rounding),
                width,
                height,
                static_cast<int64_t>(isa)};
  {
    const std::lock_guard<std::mutex> lock(mutex);
    for (auto at = known.begin(); at != known.end(); ++at) {
      if (at->key != key) continue;
      known.splice(known.begin(), known, at);
      return at->plan;
    }
  }
  auto plan = std::make_shared<const CpuPlan>(make_plan(t, width, height, isa));
  if (static_cast<size_t>(plan->h.n) * plan->h.taps + static_cast<size_t>(plan->v.n) * plan->v.taps <=
      kMostWeights) {
    const std::lock_guard<std::mutex> lock(mutex);
    known.push_front({key, plan});
    if (known.size() > kMostKnown) known.pop_back();
  }
  return plan;
}

// Horizontal pass and normalisation of outputs [begin, end) of `rows` rows from y. `mixed` begins at input
// column `from` and is one row of RGB pixels or, `grouped`, a group of rows; `converted`: scratch of 3 *
// kMostGroupRows output rows.
void put_float(const CpuPlan& plan, const Target& target, int64_t y, int rows, const float* mixed,
               bool grouped, int64_t from, int64_t begin, int64_t end, float* converted) {
  const bool half = target.kind == FramesOutput::kFloat16;
  float* planes[3 * kMostGroupRows];
  for (int k = 0; k < 3 * rows; ++k) {
    planes[k] =
        half ? converted + k * (plan.x1 - plan.x0) : target.at<float>(k % 3, y + k / 3, plan.x0 + begin);
  }
  const int32_t *first = plan.h.first.data() + begin, *count = plan.h.count.data() + begin;
  const float* weights = plan.h.weights.data() + begin * plan.h.taps;
  if (grouped) {
    target.simd->contract_rows(mixed, from, first, count, weights, plan.h.taps, end - begin, target.scale,
                               target.shift, rows, planes);
  } else {
    target.simd->contract(mixed, from, first, count, weights, plan.h.taps, end - begin, target.scale,
                          target.shift, planes);
  }
  if (!half) return;
  for (int k = 0; k < 3 * rows; ++k) {
    target.simd->to_half(end - begin, planes[k], target.at<uint16_t>(k % 3, y + k / 3, plan.x0 + begin));
  }
}

// Output rows [row0, row1) in float32: vertical pass of a strip of columns into one row (of YUV: into a group
// of rows), horizontal pass out of it.
void float_band(const FrameImage& image, const CpuPlan& plan, const Target& target, int64_t row0,
                int64_t row1) {
  const FramesSimd& simd = *target.simd;
  const bool planar = is_yuv(image.format), direct = image.format == PixelFormat::kRgb24;
  const int slots = plan.v.taps;
  const int64_t columns = plan.h.end - plan.h.begin;
  // Strips keep the ring of converted rows near: it is read once for every output row it takes part in.
  const int64_t ring_budget = 64 << 10;
  int64_t strip = direct ? 2048 : ring_budget / ((planar ? 12 : 3) * slots);
  strip = std::min(columns, std::max<int64_t>(strip, 2 * plan.h.taps + 64));
  const int group = planar ? simd.group_rows : 1, floats_a_pixel = planar ? 4 * group : 3;

  uint8_t* memory = nullptr;
  for (;;) {
    Carver carver(memory);
    Rows rows(image, simd, carver, strip, slots, planar ? RowKind::kPlanar : RowKind::kRgb);
    const auto** list = carver.take<const void*>(plan.v.taps);
    float* mixed = carver.take<float>(floats_a_pixel * (strip + kFramesPad));
    float* converted =
        carver.take<float>(3 * kMostGroupRows * (plan.x1 - plan.x0));  // before the rounding to half
    if (!memory) {
      memory =
          reinterpret_cast<uint8_t*>(thread_scratch(0, static_cast<size_t>(carver.bytes()) / sizeof(float)));
      continue;
    }
    const int64_t n = plan.x1 - plan.x0;
    for (int64_t begin = 0, end; begin < n; begin = end) {
      const int64_t from = plan.h.first[begin];
      end = begin + 1;
      while (end < n && plan.h.first[end] + plan.h.count[end] - from <= strip) ++end;
      const int64_t span = plan.h.first[end - 1] + plan.h.count[end - 1] - from;
      rows.columns(plan.h.begin + from, span);
      for (int64_t y = row0; y < row1; ++y) {
        const int64_t i = y - plan.y0;
        const int taps = plan.v.count[i];
        const int64_t first = plan.v.begin + plan.v.first[i];
        const float* weights = plan.v.weights.data() + i * plan.v.taps;
        const int in_group = static_cast<int>((y - row0) % group);
        if (planar) {
          for (int t = 0; t < taps; ++t) list[t] = rows.planar(first + t);
          simd.gather_planes(reinterpret_cast<const float* const*>(list), rows.plane(), weights, taps, span,
                             mixed + 4 * in_group);
        } else {
          for (int t = 0; t < taps; ++t) list[t] = rows.rgb(first + t);
          simd.gather_u8(reinterpret_cast<const uint8_t* const*>(list), weights, taps, 3 * span, mixed);
        }
        if (in_group + 1 == group || y + 1 == row1) {
          put_float(plan, target, y - in_group, in_group + 1, mixed, planar, from, begin, end, converted);
        }
      }
    }
    return;
  }
}

// As float_band, for YUV when every input row counts for two output rows at most: step i takes the rows from
// where output i begins to where i + 1 does, completes i - 1 and carries what it has of i. Nothing of the
// converted picture is stored.
void yuv_band(const FrameImage& image, const CpuPlan& plan, const Target& target, int64_t row0,
              int64_t row1) {
  const FramesSimd& simd = *target.simd;
  const Coefficients& v = plan.v;
  const int64_t lead = plan.h.begin & 1, x0 = plan.h.begin - lead;  // chroma is made for pairs of columns
  const int64_t columns = plan.h.end - x0, n = plan.x1 - plan.x0;
  // Chroma's part of the rows of a step stays in L1, so it is made strip by strip.
  const int64_t rows_a_step = image.chroma == ChromaSiting::kNearest ? v.taps / 4 + 2 : v.taps / 2 + 1;
  const int64_t strip = std::max<int64_t>(64, (24 << 10) / (12 * rows_a_step) / 64 * 64);
  const int64_t plane = strip + kFramesPad, carry_plane = columns + kFramesPad;
  const int group = simd.group_rows;

  uint8_t* memory = nullptr;
  for (;;) {
    Carver carver(memory);
    Rows rows(image, simd, carver, columns, v.taps, RowKind::kLuma);
    const uint8_t** luma = carver.take<const uint8_t*>(v.taps);
    const float** terms = carver.take<const float*>(v.taps);
    int64_t* term_rows = carver.take<int64_t>(v.taps);  // a row for each of the step's different terms
    float* falling = carver.take<float>(v.taps);
    float* ring = carver.take<float>(3 * plane * v.taps);
    float* carry = carver.take<float>(3 * carry_plane);
    float* mixed = carver.take<float>(4 * group * (columns + kFramesPad));
    float* converted = carver.take<float>(3 * kMostGroupRows * n);
    if (!memory) {
      memory =
          reinterpret_cast<uint8_t*>(thread_scratch(0, static_cast<size_t>(carver.bytes()) / sizeof(float)));
      continue;
    }
    rows.columns(x0, columns);
    std::fill_n(carry, 3 * carry_plane, 0.f);
    for (int64_t y = row0; y <= row1; ++y) {
      const int64_t i = y - plan.y0;
      // Beyond the last row nothing is left to read: it was carried whole.
      const int64_t first = y < row1 ? v.first[i] : 0;
      const int64_t all = y == row1 ? 0 : first + v.count[i];
      const int64_t end = y + 1 < row1 ? std::min<int64_t>(all, v.first[i + 1]) : all;
      const int count = static_cast<int>(end - first);
      const float* rising = y < row1 ? v.weights.data() + i * v.taps : nullptr;
      int different = 0;
      for (int t = 0; t < count; ++t) {
        const int64_t back = y > row0 ? first + t - v.first[i - 1] : v.taps;
        falling[t] = back < v.taps ? v.weights[(i - 1) * v.taps + back] : 0.f;
        const int64_t row = v.begin + first + t;
        luma[t] = rows.luma(row);
        if (different == 0 || rows.terms_key(term_rows[different - 1]) != rows.terms_key(row)) {
          term_rows[different++] = row;
        }
        terms[t] = ring + 3 * plane * (different - 1);
      }
      const int in_group = static_cast<int>((y - row0 + group - 1) % group);  // of row y - 1
      for (int64_t x = 0; x < columns; x += strip) {
        const int64_t width = std::min(strip, columns - x);
        for (int k = 0; k < different; ++k)
          rows.terms(term_rows[k], x0 + x, width, ring + 3 * plane * k, plane);
        simd.blend_yuv(luma, x, terms, plane, falling, rising, count, rows.yuv().y, width, carry + x,
                       carry_plane, mixed + 4 * (group * x + in_group));
      }
      if (y > row0 && (in_group + 1 == group || y == row1)) {
        put_float(plan, target, y - 1 - in_group, in_group + 1, mixed, true, -lead, 0, n, converted);
      }
    }
    return;
  }
}

// Output rows [row0, row1) in Pillow's 8-bit arithmetic.
void u8_band(const FrameImage& image, const CpuPlan& plan, const Target& target, int64_t row0, int64_t row1) {
  const FramesSimd& simd = *target.simd;
  constexpr int kTogether = 4;  // rows of one call of the horizontal pass
  const int64_t columns = plan.h.end - plan.h.begin, n = plan.x1 - plan.x0;
  const int slots = plan.v.taps + kTogether;
  const int64_t slot_bytes = (3 * n + kFramesPad + 63) / 64 * 64;
  const int64_t last = plan.v.begin + plan.v.first[row1 - 1 - plan.y0] + plan.v.count[row1 - 1 - plan.y0];

  uint8_t* memory = nullptr;
  for (;;) {
    Carver carver(memory);
    Rows rows(image, simd, carver, columns, plan.h.identity ? slots : kTogether, RowKind::kRgb);
    uint8_t* ring = carver.take<uint8_t>(plan.h.identity ? 0 : slot_bytes * slots);
    const uint8_t** list = carver.take<const uint8_t*>(plan.v.taps);
    uint8_t* mixed = carver.take<uint8_t>(slot_bytes);
    if (!memory) {
      memory =
          reinterpret_cast<uint8_t*>(thread_scratch(0, static_cast<size_t>(carver.bytes()) / sizeof(float)));
      continue;
    }
    rows.columns(plan.h.begin, columns);
    int64_t done = plan.v.begin + plan.v.first[row0 - plan.y0];  // rows before it have passed horizontally
    for (int64_t y = row0; y < row1; ++y) {
      const int64_t i = y - plan.y0;
      const int taps = plan.v.count[i];
      const int64_t first = plan.v.begin + plan.v.first[i];
      if (plan.h.identity) {
        for (int t = 0; t < taps; ++t) list[t] = rows.rgb(first + t);
      } else {
        done = std::max(done, first);
        // Ahead of need only where the next output row goes on without a gap.
        const bool gapless = y + 1 < row1 && plan.v.first[i + 1] <= plan.v.first[i] + taps;
        const int64_t bound = gapless ? last : first + taps;
        while (done < first + taps) {
          const int together = static_cast<int>(std::min<int64_t>(kTogether, bound - done));
          const uint8_t* from[kTogether];
          uint8_t* to[kTogether];
          for (int r = 0; r < together; ++r) {
            from[r] = rows.rgb(done + r);
            to[r] = ring + (done + r) % slots * slot_bytes;
          }
          simd.pass_rows(from, together, plan.h.first.data(), plan.h.count.data(), plan.h.fixed.data(),
                         plan.h.packed.data(), plan.h.taps, n, to);
          done += together;
        }
        for (int t = 0; t < taps; ++t) list[t] = ring + (first + t) % slots * slot_bytes;
      }
      const uint8_t* result = list[0];
      if (!plan.v.identity) {
        simd.pass_column(list, plan.v.fixed.data() + i * plan.v.taps, taps, 3 * n, mixed);
        result = mixed;
      }
      target.put_u8(y, plan.x0, n, result);
    }
    return;
  }
}

}  // namespace

void frames_cpu(const FramesParams& p, const Exec& exec) {
  const FramesSimd& simd = frames_simd(exec.isa);
  const int n = static_cast<int>(p.images.size());

  std::vector<int> plan_of(n);
  std::vector<int> leaders;  // the first image of each size
  for (int i = 0; i < n; ++i) {
    size_t k = 0;
    while (k < leaders.size() && (p.images[leaders[k]].width != p.images[i].width ||
                                  p.images[leaders[k]].height != p.images[i].height)) {
      ++k;
    }
    if (k == leaders.size()) leaders.push_back(i);
    plan_of[i] = static_cast<int>(k);
  }
  std::vector<std::shared_ptr<const CpuPlan>> plans(leaders.size());
  parallel_for(exec, static_cast<int>(leaders.size()), [&](int k) {
    plans[k] = plan_for(p.transform, p.images[leaders[k]].width, p.images[leaders[k]].height, exec.isa);
  });

  // The same way for all bands of a picture, so that no result depends on how it is cut.
  std::vector<uint8_t> by_halves(n);
  parallel_for(exec, n, [&](int i) {
    const FrameImage& image = p.images[i];
    by_halves[i] = is_yuv(image.format) && image.chroma == ChromaSiting::kNearest &&
                   plans[plan_of[i]]->chroma_pass.pays() && seldom_clamped(image, *plans[plan_of[i]]);
  });

  const Target target = make_target(p, simd);
  const int64_t element = p.output == FramesOutput::kFloat32 ? 4 : p.output == FramesOutput::kFloat16 ? 2 : 1;
  // Some four tasks a thread, of at least 16 rows: a band converts the rows at its upper edge once more.
  const int64_t wanted = exec.threads == 1 ? n : std::max<int64_t>(n, int64_t{4} * exec.threads);
  const int64_t bands = std::max<int64_t>(1, std::min((wanted + n - 1) / n, p.h / 16));
  const int64_t band = (p.h + bands - 1) / bands;
  parallel_for(exec, static_cast<int>(n * bands), [&](int task) {
    const int i = static_cast<int>(task / bands);
    const CpuPlan& plan = *plans[plan_of[i]];
    Target mine = target;
    mine.out += i * 3 * p.h * p.w * element;
    const int64_t row0 = task % bands * band, row1 = std::min(p.h, row0 + band);
    for (int64_t y = row0; y < row1; ++y) {
      if (y < plan.y0 || y >= plan.y1) {
        mine.pad(y, 0, p.w);
      } else {
        mine.pad(y, 0, plan.x0);
        mine.pad(y, plan.x1, p.w);
      }
    }
    const int64_t from = std::max(row0, plan.y0), to = std::min(row1, plan.y1);
    if (from >= to) return;
    const bool yuv = is_yuv(p.images[i].format), whole = p.transform.rounding == Rounding::kUint8;
    if (plan.planar.pays() && (whole || !yuv)) {
      planar_band(p.images[i], plan, mine, from, to, whole);
    } else if (by_halves[i]) {
      yuv_planar_band(p.images[i], plan, mine, from, to);
    } else if (!whole && yuv && plan.two_at_most) {
      yuv_band(p.images[i], plan, mine, from, to);
    } else if (!whole) {
      float_band(p.images[i], plan, mine, from, to);
    } else {
      u8_band(p.images[i], plan, mine, from, to);
    }
  });
}

}  // namespace cinefuse
