#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "../../core/pool.h"
#include "frames_target.h"
#include "rows.h"
#include "yuv_planar_simd.h"

namespace cinefuse {
namespace {

constexpr int kChromaRows = 3;       // of one step: with U and V six rows, and six of luma
constexpr int64_t kChunk = 16;       // columns that one flag stands for
constexpr int64_t kReach = 128 + 4;  // bytes beyond a row's end that PlanarSimd may read
constexpr int64_t kSampledRows = 8;  // seldom_clamped looks at one chroma row of so many

YuvBounds yuv_bounds(const YuvCoefficients& k) {
  // In luma's levels: 64 to a level, and 2^15 that mulhrs takes off again. A sixteenth too much covers what
  // rounding takes, and of grey nothing, which is exact.
  const auto part = [&](float x) {
    return static_cast<int16_t>(std::lround(16.0 * x / k.y * (64 * 32768 / 256) * 17 / 16));
  };
  const double grey = -k.y_shift / k.y;
  YuvBounds b{};
  b.low = static_cast<int16_t>(std::lround(64 * grey));
  b.high = static_cast<int16_t>(std::lround(64 * (grey + 255.0 / k.y)));
  b.rv = part(k.rv);
  b.gu = part(k.gu);
  b.gv = part(k.gv);
  b.bu = part(k.bu);
  return b;
}

YuvFinish yuv_finish(const YuvCoefficients& k, const Target& t, float luma_unit, float chroma_unit) {
  const double u[3] = {0, 16.0 * k.gu, 16.0 * k.bu}, v[3] = {16.0 * k.rv, 16.0 * k.gv, 0};
  YuvFinish f{};
  for (int c = 0; c < 3; ++c) {
    const double scale = t.exact_scale[c];
    f.luma[c] = static_cast<float>(scale * k.y * luma_unit);
    f.u[c] = static_cast<float>(scale * u[c] * chroma_unit);
    f.v[c] = static_cast<float>(scale * v[c] * chroma_unit);
    f.plus[c] = static_cast<float>(scale * (k.y_shift - 128 * (u[c] + v[c])) + t.exact_shift[c]);
    f.scale[c] = t.scale[c];
  }
  return f;
}

// Rows of one picture: luma where it lies, chroma in planes. Columns count from the even one at or before the
// first that is needed.
class Planes {
 public:
  Planes(const FrameImage& image, const CpuPlan& plan, Carver& carver)
      : image_(image), x0_(plan.h.begin & ~int64_t{1}), columns_(plan.h.end - x0_) {
    nv12_ = image.format == PixelFormat::kNv12;
    chroma_height_ = (int64_t{image.height} + 1) / 2;
    plane_ = (samples() + 63) / 64 * 64 + 192;
    tail_plane_ = columns_ + kReach;
    chroma_ = carver.take<uint8_t>(2 * plane_ * kChromaRows);
    tails_ = carver.take<uint8_t>(tail_plane_ * 2 * kChromaRows);
  }
  int64_t columns() const { return columns_; }
  int64_t samples() const { return (columns_ + 1) / 2; }
  int64_t words() const { return (columns_ + kChunk * 64 - 1) / (kChunk * 64); }
  int64_t lead(const CpuPlan& plan) const { return plan.h.begin - x0_; }

  // Row y, or the last one; readable kReach bytes beyond its end. Valid until its place, of six, is asked for
  // again.
  const uint8_t* luma(int64_t y, int place) {
    const uint8_t* row = raw_luma(y);
    if (image_.data + image_.size - row >= columns_ + kReach) return row;
    uint8_t* copy = tails_ + place * tail_plane_;
    std::memcpy(copy, row, static_cast<size_t>(columns_));
    return copy;
  }
  const uint8_t* raw_luma(int64_t y) const {
    return image_.data + std::min<int64_t>(y, image_.height - 1) * image_.pitch + x0_;
  }
  const uint8_t* raw_u(int64_t row) const {
    return image_.data + int64_t{image_.pitch} * image_.height +
           std::min(row, chroma_height_ - 1) * image_.chroma_pitch + (nv12_ ? x0_ : x0_ / 2);
  }
  const uint8_t* raw_v(int64_t row) const {
    return raw_u(row) + (nv12_ ? 1 : chroma_height_ * image_.chroma_pitch);
  }
  int step() const { return nv12_ ? 2 : 1; }
  // U and V of a chroma row in place 0, 1 or 2, plane() bytes apart.
  const uint8_t* chroma(int64_t row, int place, const YuvPlanarSimd& simd) {
    uint8_t* to = chroma_ + 2 * plane_ * place;
    if (nv12_) {
      simd.split(raw_u(row), samples(), plane_, to);
    } else {
      std::memcpy(to, raw_u(row), static_cast<size_t>(samples()));
      std::memcpy(to + plane_, raw_v(row), static_cast<size_t>(samples()));
    }
    return to;
  }
  int64_t plane() const { return plane_; }

 private:
  const FrameImage& image_;
  int64_t x0_, columns_, chroma_height_, plane_, tail_plane_;
  bool nv12_;
  uint8_t *chroma_, *tails_;
};

// What clamping adds to an output row and to the next, gathered from input rows in the chunks that are
// flagged.
class Excess {
 public:
  Excess(const Planes& planes, const CpuPlan& plan, Carver& carver) : plan_(plan) {
    plane_ = planes.columns();
    out_plane_ = (plan.x1 - plan.x0 + 15) / 16 * 16;
    words_ = planes.words();
    for (Row* row : {&row_, &next_}) {
      row->sums = carver.take<float>(3 * plane_);
      row->touched = carver.take<uint64_t>(words_);
    }
    out_ = carver.take<float>(3 * out_plane_);
  }
  void clear() {
    for (Row* row : {&row_, &next_}) {
      std::fill_n(row->sums, 3 * plane_, 0.f);
      std::fill_n(row->touched, words_, uint64_t{0});
    }
  }
  void add(const Planes& planes, int64_t y, const uint64_t* flags, const YuvCoefficients& k, float weight,
           float next_weight, const YuvPlanarSimd& simd) {
    const int step = planes.step();
    const uint8_t *luma = planes.raw_luma(y), *u = planes.raw_u(y >> 1), *v = planes.raw_v(y >> 1);
    for_each(flags, [&](int64_t x) {
      simd.excess(luma + x, u + step * x / 2, v + step * x / 2, step, std::min(kChunk, plane_ - x), &k,
                  weight, next_weight, row_.sums + x, next_.sums + x, plane_);
    });
    for (int64_t w = 0; w < words_; ++w) {
      row_.touched[w] |= flags[w];
      next_.touched[w] |= flags[w];
    }
  }
  // The horizontal pass of the row, three planes as `finish` takes them, or null; the next one takes its
  // place.
  const float* take(int64_t lead, const YuvPlanarSimd& simd) {
    const Coefficients& h = plan_.h;
    int64_t i = 0;
    bool any = false;
    for_each(row_.touched, [&](int64_t x) {
      if (!any) std::fill_n(out_, 3 * out_plane_, 0.f);
      any = true;
      const int64_t from = x - lead, to = from + kChunk;  // as h.first counts
      while (i < h.n && h.first[i] + h.count[i] <= from) ++i;
      const int64_t begin = i;
      while (i < h.n && h.first[i] < to) ++i;
      simd.contract(row_.sums + lead, plane_, h.first.data() + begin, h.count.data() + begin,
                    h.weights.data() + begin * h.taps, h.taps, i - begin, out_ + begin, out_plane_);
    });
    for_each(row_.touched, [&](int64_t x) {
      const int64_t left = plane_ - x;
      for (int c = 0; c < 3; ++c) {
        float* sums = row_.sums + c * plane_ + x;
        left >= kChunk ? std::fill_n(sums, kChunk, 0.f) : std::fill_n(sums, left, 0.f);
      }
    });
    std::fill_n(row_.touched, words_, uint64_t{0});
    std::swap(row_, next_);
    return any ? out_ : nullptr;
  }

 private:
  struct Row {
    float* sums;  // three planes, 0 outside of what was touched
    uint64_t* touched;
  };
  template <class Body>
  void for_each(const uint64_t* flags, Body&& body) const {
    for (int64_t w = 0; w < words_; ++w) {
      for (uint64_t bits = flags[w]; bits; bits &= bits - 1) {
        body((w * 64 + __builtin_ctzll(bits)) * kChunk);
      }
    }
  }

  const CpuPlan& plan_;
  int64_t plane_, out_plane_, words_;
  Row row_, next_;
  float* out_;
};

}  // namespace

Coefficients on_halves(const Coefficients& c) {
  Coefficients half;
  half.n = c.n;
  half.begin = c.begin / 2;
  half.end = (c.end + 1) / 2;
  half.taps = c.taps / 2 + 1;
  half.first.resize(c.n);
  half.count.resize(c.n);
  half.weights.assign(static_cast<size_t>(c.n) * half.taps, 0.f);
  for (int64_t i = 0; i < c.n; ++i) {
    const int64_t at = c.begin + c.first[i], first = at / 2;
    half.first[i] = static_cast<int32_t>(first - half.begin);
    half.count[i] = static_cast<int32_t>((at + c.count[i] + 1) / 2 - first);
    float* to = half.weights.data() + i * half.taps;
    for (int t = 0; t < c.count[i]; ++t) to[(at + t) / 2 - first] += c.weights[i * c.taps + t];
  }
  return half;
}

bool seldom_clamped(const FrameImage& image, const CpuPlan& plan) {
  const YuvPlanarSimd& simd = yuv_planar_simd(Isa::kAvx512);
  const YuvBounds bounds = yuv_bounds(yuv_coefficients(image.matrix, image.range));
  uint8_t* memory = nullptr;
  for (;;) {
    Carver carver(memory);
    Planes planes(image, plan, carver);
    uint64_t* flags = carver.take<uint64_t>(planes.words());
    if (!memory) {
      memory =
          reinterpret_cast<uint8_t*>(thread_scratch(0, static_cast<size_t>(carver.bytes()) / sizeof(float)));
      continue;
    }
    int64_t clamped = 0, all = 0;
    for (int64_t row = plan.chroma_v.begin; row < plan.chroma_v.end; row += kSampledRows) {
      simd.flags(planes.raw_luma(2 * row), planes.raw_luma(2 * row + 1), planes.raw_u(row), planes.raw_v(row),
                 planes.step(), planes.columns(), &bounds, flags);
      for (int64_t w = 0; w < planes.words(); ++w) clamped += __builtin_popcountll(flags[w]);
      all += (planes.columns() + kChunk - 1) / kChunk;
    }
    return 4 * clamped <= all;
  }
}

void yuv_planar_band(const FrameImage& image, const CpuPlan& plan, const Target& target, int64_t row0,
                     int64_t row1) {
  const PlanarSimd& planar = planar_simd(Isa::kAvx512);
  const YuvPlanarSimd& simd = yuv_planar_simd(Isa::kAvx512);
  const PlanarView luma_view = plan.planar.view(), chroma_view = plan.chroma_pass.view();
  const Coefficients &v = plan.v, &half = plan.chroma_v;
  const YuvCoefficients k = yuv_coefficients(image.matrix, image.range);
  const YuvBounds bounds = yuv_bounds(k);
  const YuvFinish colours = yuv_finish(k, target, plan.planar.unit(), plan.chroma_pass.unit());
  const int64_t n = plan.x1 - plan.x0, plane = (n + 15) / 16 * 16;
  // A step may begin a row early and end five rows late.
  const int chroma_slots = half.taps + 2 * kChromaRows, luma_slots = 2 * chroma_slots;
  const bool as_half = target.kind == FramesOutput::kFloat16;

  uint8_t* memory = nullptr;
  for (;;) {
    Carver carver(memory);
    Planes planes(image, plan, carver);
    Excess excess(planes, plan, carver);
    float* luma_ring = carver.take<float>(plane * luma_slots);
    float* chroma_ring = carver.take<float>(2 * plane * chroma_slots);
    uint64_t* flags = carver.take<uint64_t>(planes.words() * chroma_slots);
    const auto** luma = carver.take<const float*>(v.taps);
    const auto** chroma = carver.take<const float*>(half.taps);
    float* converted = carver.take<float>(3 * plane);
    if (!memory) {
      memory =
          reinterpret_cast<uint8_t*>(thread_scratch(0, static_cast<size_t>(carver.bytes()) / sizeof(float)));
      continue;
    }
    excess.clear();
    const int64_t words = planes.words(), lead = planes.lead(plan);
    int64_t added = 0;  // luma rows before it have been added to `excess`
    int64_t done = 0;   // chroma rows before it have passed horizontally
    for (int64_t y = row0; y < row1; ++y) {
      const int64_t i = y - plan.y0, first = v.begin + v.first[i], first_half = half.begin + half.first[i];
      done = std::max(done, first_half);
      for (; done < first_half + half.count[i]; done += kChromaRows) {
        const uint8_t *from[2 * kChromaRows], *halves[2 * kChromaRows];
        float *to[2 * kChromaRows], *halves_to[2 * kChromaRows];
        for (int r = 0; r < kChromaRows; ++r) {
          const int64_t row = done + r, slot = row % chroma_slots;
          const uint8_t* samples = planes.chroma(row, r, simd);
          for (int c = 0; c < 2; ++c) {
            from[2 * r + c] = planes.luma(2 * row + c, 2 * r + c);
            to[2 * r + c] = luma_ring + (2 * slot + c) * plane;
            halves[2 * r + c] = samples + c * planes.plane();
            halves_to[2 * r + c] = chroma_ring + (2 * slot + c) * plane;
          }
          simd.flags(from[2 * r], from[2 * r + 1], planes.raw_u(row), planes.raw_v(row), planes.step(),
                     planes.columns(), &bounds, flags + slot * words);
          for (int c = 0; c < 2; ++c) from[2 * r + c] += lead;
        }
        // What the next step reads comes meanwhile: as many rows further on, lying one after the other.
        const Ahead next_luma{planes.raw_luma(2 * (done + kChromaRows)), 2 * kChromaRows * image.pitch};
        const Ahead next_chroma{planes.raw_u(done + kChromaRows), kChromaRows * image.chroma_pitch};
        planar.pass_f32(&luma_view, from, 2 * kChromaRows, to, next_luma);
        planar.pass_f32(&chroma_view, halves, 2 * kChromaRows, halves_to, next_chroma);
      }
      const float* weights = v.weights.data() + i * v.taps;
      for (int t = 0; t < v.count[i]; ++t) {
        const int64_t row = first + t;
        luma[t] = luma_ring + row % luma_slots * plane;
        if (row < added) continue;  // with the output row before
        const int64_t next_t = y + 1 < row1 ? row - v.begin - v.first[i + 1] : -1;
        const float next_weight = next_t >= 0 ? weights[v.taps + next_t] : 0.f;
        excess.add(planes, row, flags + (row >> 1) % chroma_slots * words, k, weights[t], next_weight, simd);
        added = row + 1;
      }
      for (int t = 0; t < half.count[i]; ++t) {
        chroma[t] = chroma_ring + (first_half + t) % chroma_slots * 2 * plane;
      }
      float* to[3];
      for (int c = 0; c < 3; ++c) {
        to[c] = as_half ? converted + c * plane : target.at<float>(c, y, plan.x0);
      }
      simd.finish(luma, weights, v.count[i], chroma, half.weights.data() + i * half.taps, half.count[i],
                  plane, &colours, excess.take(lead, simd), n, to);
      if (!as_half) continue;
      for (int c = 0; c < 3; ++c) target.simd->to_half(n, to[c], target.at<uint16_t>(c, y, plan.x0));
    }
    return;
  }
}

}  // namespace cinefuse
