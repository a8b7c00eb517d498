// The arithmetic that every attention shares: scores, softmax, weighted sums. One query or row at a time, on
// the calling thread; all arrays float32, any alignment. Rows are `stride` floats apart.
#pragma once
#include <stdint.h>

namespace cinefuse {

constexpr int kMostSoftmaxRow = 64;  // of softmax_rows

struct AttendSimd {
  // e[t] = scale * (q . x[t]) + bias, t < n, vectors of d
  void (*dots)(long n, long d, float scale, float bias, const float* q, const float* x, long stride,
               float* e);
  // e[t] = w . tanh(z[t]), t < n, vectors of k
  void (*tanh_scores)(long n, long k, const float* w, const float* z, long stride, float* e);
  // e <- softmax(e) over n; with a mask (n bytes) over those not 0, the others become exactly 0 whatever they
  // hold; with none present all become 0
  void (*softmax)(long n, const uint8_t* mask, float* e);
  // e (rows, n): softmax of every row, n <= kMostSoftmaxRow, with the mask (rows, n) as above
  void (*softmax_rows)(long rows, long n, const uint8_t* mask, float* e);
  // c[j] = sum_t a[t] * x[t][j], j < d. Rows of weight exactly 0 are not read.
  void (*weighted_sum)(long n, long d, const float* a, const float* x, long stride, float* c);
  // Per feature j < d: a_i[j] = softmax over i < n of e_i[j], c[j] = sum_i a_i[j] * h_i[j]. e_i are
  // overwritten; e[0] may be null and stands for zeros. a may be null, or a_i be e_i.
  void (*feature_attend)(long n, long d, float* const* e, float* const* a, const float* const* h, float* c);
  // y = a * x + y, n values
  void (*axpy)(long n, float a, const float* x, float* y);
  // y = x - z
  void (*subtract)(long n, const float* x, const float* z, float* y);
  // y = (x - mean) * scale
  void (*standardise)(long n, const float* x, const float* mean, const float* scale, float* y);
  // The position of the first value that is infinite or NaN, or -1
  long (*first_non_finite)(long n, const float* x);
  float (*sum)(long n, const float* x);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(AttendSimd, attend_simd)
}
#endif
