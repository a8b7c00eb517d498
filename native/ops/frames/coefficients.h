// The weights of one pass of a resize, made in float64.
#pragma once
#include <cstdint>
#include <vector>

#include "frames.h"

namespace cinefuse {

// Output sample i of [0, n) is the weighted sum of `count[i]` input samples from `first[i]`, counted from
// `begin`.
struct Coefficients {
  bool identity = false;       // output i is input begin + i
  int64_t begin = 0, end = 0;  // the input samples that any output needs
  int64_t n = 0;
  int taps = 0;  // the most of `count`; weights are rows of `taps`, zero beyond their count
  std::vector<int32_t> first, count;
  std::vector<float> weights;  // Rounding::kFloat; they sum to 1
  std::vector<int32_t> fixed;  // Rounding::kUint8; times 2^22, halves away from zero
  // The same weights for 16-bit multiply-adds, which want pairs of samples: for every four taps (zeros at the
  // end) the 32-bit words high(0, 1), high(2, 3), low(0, 1), low(2, 3); weight = 2048 * high + low, the
  // second of a pair in the upper half.
  std::vector<int32_t> packed;
};

// Outputs [from, from + n) of a pass from `in` to `out` samples:
//   scale = in/out, s = max(1, scale), support = s * (bilinear 1, bicubic 2, lanczos 3, box 1/2), c = (i +
//   1/2) scale, taps from trunc(c - support + 1/2) to trunc(c + support + 1/2), w = f((t - c + 1/2) / s),
//   normalised to sum 1.
// bilinear_noaa: two taps at max(0, (i + 1/2) scale - 1/2), clamped to the last sample.
Coefficients make_coefficients(int64_t in, int64_t out, ResizeFilter filter, int64_t from, int64_t n,
                               Rounding rounding);

// What pictures of one size share.
struct FramePlan {
  int64_t y0, y1, x0, x1;  // the part of the output that shows the picture; beyond it is padding
  Coefficients h, v;
};
FramePlan make_frame_plan(const FramesTransform& transform, int32_t width, int32_t height);

// y = scale * level + shift of each channel, and y of the 256 levels, made in float64.
struct Normalisation {
  float scale[3], shift[3];
  double exact_scale[3], exact_shift[3];  // the same
  float levels[3][256];
};
Normalisation make_normalisation(const FramesTransform& transform);

}  // namespace cinefuse
