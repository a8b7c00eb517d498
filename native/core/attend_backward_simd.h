// The arithmetic that the gradients of every attention share. One row at a time, on the calling thread; all
// arrays float32, any alignment.
#pragma once

namespace cinefuse {

struct AttendBackwardSimd {
  // Softmax, a its result: e = scale * a * (g - sum a g), n values. Where a is exactly 0 so is e, whatever g
  // holds. e may be g.
  void (*softmax)(long n, float scale, const float* a, const float* g, float* e);
  // Per feature j < d, c = sum_i a_i h_i over i < n: dh_i = a_i dc, de_i = a_i dc (h_i - c).
  void (*feature_attend)(long n, long d, const float* const* a, const float* const* h, const float* dc,
                         float* const* de, float* const* dh);
  // t = tanh(z), n values: dz = e * w * (1 - t * t). dz may be t.
  void (*tanh_scores)(long n, float e, const float* w, const float* t, float* dz);
  // y = a * x, n values
  void (*scale)(long n, float a, const float* x, float* y);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(AttendBackwardSimd, attend_backward_simd)
}
#endif
