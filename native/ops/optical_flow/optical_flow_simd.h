#pragma once
#include <stdint.h>

namespace cinefuse {

// Rows of planes that are padded to 16 floats: `n` is the padded length, a multiple of 16, and `w` the width.
// What lies between them is computed too and never used.
struct OpticalFlowSimd {
  void (*widen)(long w, const uint8_t* levels, float* row);
  // Means of 2 x 2 of two rows of w floats.
  void (*halve)(long w, const float* a, const float* b, float* row);
  // row[i] = sum of weight[|k|] x[i + radius + k], k in -radius..radius; of squares of x where `squares`.
  void (*blur_across)(long n, int radius, const float* weight, const float* x, bool squares, float* row);
  // The same down 2 radius + 1 rows.
  void (*blur_down)(long n, int radius, const float* weight, const float* const* rows, float* row);
  void (*subtract)(long n, const float* a, const float* b, float* row);
  // row = a / sqrt(squares + floor²)
  void (*contrast)(long n, float floor, const float* a, const float* squares, float* row);
  // mean = (first + W) / 2, difference = W - first, W = `second` (h, w; stride) at (x + u, y + v).
  void (*warp)(long n, long w, long h, long stride, long y, const float* first, const float* second,
               const float* u, const float* v, float* mean, float* difference);
  // The five rows that the window sums; `mean` are five rows about y, readable from -2 to n + 2.
  void (*products)(long n, long w, long h, long y, float robust, float regularization,
                   const float* const* mean, const float* difference, const float* u, const float* v,
                   float* const* rows);
  // u, v of the sums.
  void (*solve)(long n, float regularization, const float* const* sums, float* u, float* v);
  // Of 3 x 3; rows are readable from -1 to n + 1.
  void (*median)(long n, const float* const* rows, float* row);
  // A row of w pixels of the finer level, doubled: 3/4 of the nearer row and column, 1/4 of the farther.
  void (*grow)(long w, long coarse_w, const float* near, const float* far, float* row);
  void (*interleave)(long w, const float* u, const float* v, float* flow);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(OpticalFlowSimd, optical_flow_simd)
}
#endif
