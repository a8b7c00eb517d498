#pragma once
#include <stdint.h>

namespace cinefuse {

// PlanarPass as plain pointers.
struct PlanarView {
  long n;
  const int32_t *group_first, *window_first, *at;
  const uint64_t* lanes;
  const uint8_t* index;
  const int8_t* digits;
  // Whether every block needs more than 64 bytes from block_at and none more than 128: of each group which of
  // the first or the second 64, and which bytes are of the second.
  bool is_near;
  const int32_t* block_at;
  const uint8_t* near;
  const uint64_t* in_second;
};

// Memory that a later call will read: asked for bit by bit meanwhile.
struct Ahead {
  const uint8_t* at;
  long bytes;
};

// Filled for AVX-512 alone; to be called only where planar_supported.
struct PlanarSimd {
  // n pixels R G B into three planes, `plane` bytes apart.
  void (*split)(const uint8_t* rgb, long n, long plane, uint8_t* out);
  // Whole blocks of sixteen outputs of `count` rows (3 or 6): the sum of weight times byte. A row is read up
  // to 128 bytes beyond its last tap, an output written to a multiple of 16.
  // u8: clamp((2^21 + sum) >> 22)
  void (*pass_u8)(const PlanarView* pass, const uint8_t* const* rows, int count, uint8_t* const* out,
                  Ahead ahead);
  void (*pass_f32)(const PlanarView* pass, const uint8_t* const* rows, int count, float* const* out,
                   Ahead ahead);
  // out[c][i] = shift[c] + scale[c] * Σ_t weights[t] * rows[t][c * plane + i], i < n exactly
  void (*column_f32)(const float* const* rows, const float* weights, int taps, long plane, long n,
                     const float* scale, const float* shift, float* const* out);
  // Pillow's vertical pass: out[j] = clamp((2^21 + Σ_t fixed[t] * rows[t][j]) >> 22), j < n rounded up to 64
  void (*column_u8)(const uint8_t* const* rows, const int32_t* fixed, int taps, long n, uint8_t* out);
  // out[i] = scale * levels[i] + shift in float64, i < n exactly
  void (*levels)(const uint8_t* levels, long n, double scale, double shift, float* out);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(PlanarSimd, planar_simd)
}
#endif
