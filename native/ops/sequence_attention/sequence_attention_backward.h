// Attention over sequences in training; formulas and shapes of sequence_attention.h. What does not count
// (steps past the length, absent keys) gets gradients of exactly 0. Results are overwritten; null gradients
// are not computed. `saved` is what forward leaves for backward, `*_saved` its floats.
#pragma once
#include "sequence_attention.h"

namespace cinefuse {

// temporal_forward is temporal() itself: alpha is all that backward needs.
struct TemporalGradients {
  const float* dc;
  float *dq, *dkeys, *dvalues;
};
void temporal_backward(const TemporalParams& params, const TemporalGradients& gradients, const Exec& exec);

struct AdditiveGradients {
  const float* dc;
  float *dx, *dW, *db, *dw;
};
size_t additive_saved(const AdditiveWeights& weights, int64_t batch, int64_t steps);
void additive_forward(const AdditiveWeights& weights, const AdditiveParams& params, float* saved,
                      const Exec& exec);
void additive_backward(const AdditiveWeights& weights, const AdditiveParams& params, const float* saved,
                       const AdditiveGradients& gradients, const Exec& exec);

// Mean of the steps that count; a row of length 0 gives zeros.
void mean_pool_forward(int64_t batch, int64_t steps, int64_t d, const float* x, const int32_t* lengths,
                       float* c, const Exec& exec);
void mean_pool_backward(int64_t batch, int64_t steps, int64_t d, const int32_t* lengths, const float* dc,
                        float* dx, const Exec& exec);

// dquery has the query's shape; dbias one number.
struct SpatialGradients {
  const float* dc;
  float *dx, *dquery, *dbias;
};
void spatial_backward(const SpatialParams& params, const SpatialGradients& gradients, const Exec& exec);

// Arrays of the weights' shapes, in their order; those of the block only where ff > 0.
struct CrossGradients {
  const float* dy;
  float *dx, *dctx;
  float *Wq, *bq, *Wk, *bk, *Wv, *bv, *Wo, *bo;
  float *gain1, *shift1, *W1, *b1, *W2, *b2, *gain2, *shift2;
};
// Its arrays' places in the order of cross_arrays, those of the block too.
std::vector<float**> cross_gradient_arrays(CrossGradients& gradients);
size_t cross_saved(const CrossWeights& weights, const CrossParams& params);
void cross_forward(const CrossWeights& weights, const CrossParams& params, float* saved, const Exec& exec);
void cross_backward(const CrossWeights& weights, const CrossParams& params, const float* saved,
                    const CrossGradients& gradients, const Exec& exec);

// Forward and backward in one call, for callers that keep nothing of a forward pass: results (c, y, alpha) in
// params are not used.
void temporal_gradients(const TemporalParams& params, const TemporalGradients& gradients, const Exec& exec);
void additive_gradients(const AdditiveWeights& weights, const AdditiveParams& params,
                        const AdditiveGradients& gradients, const Exec& exec);
void spatial_gradients(const SpatialParams& params, const SpatialGradients& gradients, const Exec& exec);
void cross_gradients(const CrossWeights& weights, const CrossParams& params, const CrossGradients& gradients,
                     const Exec& exec);

}  // namespace cinefuse
