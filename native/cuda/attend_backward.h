// Gradients of attention in device memory; shapes and strides as in attend.h, alpha its weights:
//
//   e_t = scale * alpha_t * (dc . V_t - sum_s alpha_s dc . V_s),  dV_t = alpha_t dc,  dK_t = e_t q,
//   dq = sum_t e_t K_t
//
// dK and dV are sums over the queries of a head. A step of weight exactly 0 is not read and gets exactly 0,
// so that lengths and masks need not be given. Launches only: it may be captured in a graph.
#pragma once
#include "attend.h"

namespace cinefuse::gpu {

struct AttendGradients {
  float scale;
  int64_t batch, heads, queries, steps;
  int64_t d, dv;
  AttendVectors<const float> dc, q, keys, values;  // q and keys only for dq and dk
  const float* alpha;                              // (batch, heads, queries, steps)
  float* e;                                        // as alpha, apart from it
  AttendVectors<float> dq, dk, dv_out;             // null data: not wanted
};
void attend_backward(Call& call, const AttendGradients& gradients);

// x = tanh(x) of n numbers
void tanh_in_place(Call& call, int64_t n, float* x);
// dz = e * w * (1 - y * y) of `vectors` vectors of k, y = tanh(z), e one number a vector
void tanh_scores_backward(Call& call, int64_t vectors, int64_t k, const float* e, const float* w,
                          const float* y, float* dz);

// Of vectors of d: y = x where present is not 0, zeros elsewhere, whatever x holds.
void copy_present(Call& call, int64_t vectors, int64_t d, const uint8_t* present, const float* x, float* y);
// y += x where present (or all, where null)
void add_present(Call& call, int64_t vectors, int64_t d, const uint8_t* present, const float* x, float* y);
// The same with those of the first lengths[b] of every `steps` vectors (all, where null).
void copy_steps(Call& call, int64_t batch, int64_t steps, int64_t d, const int32_t* lengths, const float* x,
                float* y);

}  // namespace cinefuse::gpu
