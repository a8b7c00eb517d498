// What the bands of one call on the CPU share: the weights of a size, and the place that a picture is written
// to.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "coefficients.h"
#include "frames.h"
#include "frames_simd.h"
#include "planar.h"

namespace cinefuse {

struct CpuPlan : FramePlan {
  bool two_at_most;  // every input row counts for two output rows at most
  PlanarPass planar;
  // For YUV whose chroma is repeated: both passes on chroma samples.
  PlanarPass chroma_pass;
  Coefficients chroma_h, chroma_v;
};

// One picture's place in the output, and what is written there.
struct Target : Normalisation {
  FramesOutput kind;
  int64_t h, w;
  uint8_t* out;
  const FramesSimd* simd;
  uint16_t half_levels[3][256];

  template <class T>
  T* at(int c, int64_t y, int64_t x) const {
    return reinterpret_cast<T*>(out) + (c * h + y) * w + x;
  }
  // Padding: columns [x0, x1) of row y.
  void pad(int64_t y, int64_t x0, int64_t x1) const {
    if (x0 >= x1) return;
    if (kind == FramesOutput::kRgb24) {
      std::memset(out + 3 * (y * w + x0), 0, static_cast<size_t>(3 * (x1 - x0)));
      return;
    }
    for (int c = 0; c < 3; ++c) {
      if (kind == FramesOutput::kFloat32) {
        std::fill(at<float>(c, y, x0), at<float>(c, y, x1), levels[c][0]);
      } else {
        std::fill(at<uint16_t>(c, y, x0), at<uint16_t>(c, y, x1), half_levels[c][0]);
      }
    }
  }
  // n pixels R G B of row y from column x.
  void put_u8(int64_t y, int64_t x, int64_t n, const uint8_t* rgb) const {
    if (kind == FramesOutput::kRgb24) {
      std::memcpy(out + 3 * (y * w + x), rgb, static_cast<size_t>(3 * n));
      return;
    }
    for (int c = 0; c < 3; ++c) {
      if (kind == FramesOutput::kFloat32) {
        float* to = at<float>(c, y, x);
        for (int64_t i = 0; i < n; ++i) to[i] = levels[c][rgb[3 * i + c]];
      } else {
        uint16_t* to = at<uint16_t>(c, y, x);
        for (int64_t i = 0; i < n; ++i) to[i] = half_levels[c][rgb[3 * i + c]];
      }
    }
  }
  // The same in three planes, `plane` bytes apart.
  void put_planes(int64_t y, int64_t x, int64_t n, const uint8_t* rgb, int64_t plane,
                  const PlanarSimd& planar) const {
    for (int c = 0; c < 3; ++c) {
      const uint8_t* from = rgb + c * plane;
      if (kind == FramesOutput::kFloat32) {
        planar.levels(from, n, exact_scale[c], exact_shift[c], at<float>(c, y, x));
      } else if (kind == FramesOutput::kFloat16) {
        uint16_t* to = at<uint16_t>(c, y, x);
        for (int64_t i = 0; i < n; ++i) to[i] = half_levels[c][from[i]];
      } else {
        uint8_t* to = out + 3 * (y * w + x) + c;
        for (int64_t i = 0; i < n; ++i) to[3 * i] = from[i];
      }
    }
  }
};

inline Target make_target(const FramesParams& p, const FramesSimd& simd) {
  Target t{};
  static_cast<Normalisation&>(t) = make_normalisation(p.transform);
  t.kind = p.output;
  t.h = p.h;
  t.w = p.w;
  t.out = static_cast<uint8_t*>(p.out);
  t.simd = &simd;
  for (int c = 0; c < 3; ++c) simd.to_half(256, t.levels[c], t.half_levels[c]);
  return t;
}

// Output rows [row0, row1) by planes of bytes, horizontal pass first; `whole`: in Pillow's 8-bit arithmetic.
void planar_band(const FrameImage& image, const CpuPlan& plan, const Target& target, int64_t row0,
                 int64_t row1, bool whole);
// The same in float for YUV whose chroma is repeated: luma and chroma are resized each for itself, and what
// clamping changes is added where it happens.
void yuv_planar_band(const FrameImage& image, const CpuPlan& plan, const Target& target, int64_t row0,
                     int64_t row1);
// The weights of `c` on samples that lie under two columns each.
Coefficients on_halves(const Coefficients& c);
// Whether clamping happens in so few places of a picture that yuv_planar_band pays.
bool seldom_clamped(const FrameImage& image, const CpuPlan& plan);

}  // namespace cinefuse
