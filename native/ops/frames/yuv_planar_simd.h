#pragma once
#include <stdint.h>

#include "frames_simd.h"

namespace cinefuse {

// Between which levels luma surely stays where no channel is clamped, 64 to a level; see yuv_bounds.
struct YuvBounds {
  int16_t low, high;       // of grey
  int16_t rv, gu, gv, bu;  // chroma's part, as mulhrs takes it with chroma times 256
};

// What makes normalised R, G, B of resized luma and chroma: out[c] = luma * Y + u[c] * U + v[c] * V + plus[c]
struct YuvFinish {
  float luma[3], u[3], v[3], plus[3];
  float scale[3];  // of `excess`
};

// Filled for AVX-512 alone; to be called only where planar_supported. Nothing is read beyond what is named.
struct YuvPlanarSimd {
  // n samples U V into two planes, `plane` bytes apart, written to a multiple of 64.
  void (*split)(const uint8_t* uv, long n, long plane, uint8_t* out);
  // Bit x / 16 % 64 of flags[x / 1024]: whether a pixel of columns x ... x + 15 of either row may be clamped.
  // u, v: (n + 1) / 2 samples, `step` bytes apart.
  void (*flags)(const uint8_t* y0, const uint8_t* y1, const uint8_t* u, const uint8_t* v, int step, long n,
                const YuvBounds* bounds, uint64_t* flags);
  // out[c][x] += weight * (clamp(rgb[c]) - rgb[c]) of n <= 16 columns, and the same into `next`; `step` bytes
  // from sample to sample.
  void (*excess)(const uint8_t* y, const uint8_t* u, const uint8_t* v, int step, long n,
                 const YuvCoefficients* k, float weight, float next_weight, float* out, float* next,
                 long plane);
  // out[c * out_plane + i] = Σ_t weights[i * taps + t] * excess[c * plane + first[i] + t], i < n
  void (*contract)(const float* excess, long plane, const int32_t* first, const int32_t* count,
                   const float* weights, int taps, long n, float* out, long out_plane);
  // The vertical pass and the colours of one row; excess may be null. chroma: rows of U, then V.
  void (*finish)(const float* const* luma, const float* luma_weights, int luma_taps,
                 const float* const* chroma, const float* chroma_weights, int chroma_taps, long plane,
                 const YuvFinish* f, const float* excess, long n, float* const* out);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(YuvPlanarSimd, yuv_planar_simd)
}
#endif
