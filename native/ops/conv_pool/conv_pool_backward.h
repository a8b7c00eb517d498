// Gradients of conv_pool: with t = argmax[b, f] and g[b, f] = dy[b, f] · act'(y[b, f]),
//
//   dw[f, i, d] = Σ_b g[b, f] x[b, t + i, d],   dbias[f] = Σ_b g[b, f]
//   dx[b, t + i, d] += g[b, f] w[f, i, d] over the filters, f ascending
//
// act': relu 1 unless y <= 0, tanh 1 - y². Zeros padded behind a row take part in nothing; dx is 0 beyond a
// row's length. A g of exactly 0 adds nothing, whatever it would be multiplied by. The same bits on any
// number of threads, on one instruction set.
#pragma once
#include "conv_pool.h"

namespace cinefuse {

struct ConvPoolBackward {
  const float *y, *dy;    // (batch, filters)
  const int32_t* argmax;  // (batch, filters)
  float* dx;              // (batch, steps, dim), or null
  std::vector<float*> dweight, dbias;
};

// conv_pool with weights of this call; argmax: (batch, filters).
void conv_pool_forward(const ConvPoolParams& params, const ConvPoolRows& rows, float* y, int32_t* argmax,
                       const Exec& exec);
// Throws ERR_SHAPE, ERR_INPUT_VALUE where a place is none of its row.
void conv_pool_check_backward(const ConvPoolParams& params, const ConvPoolRows& rows,
                              const ConvPoolBackward& backward, size_t y, size_t argmax, size_t dy);
void conv_pool_backward(const ConvPoolParams& params, const ConvPoolRows& rows,
                        const ConvPoolBackward& backward, const Exec& exec);

}  // namespace cinefuse
