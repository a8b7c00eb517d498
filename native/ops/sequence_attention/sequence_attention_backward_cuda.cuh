// Attention over sequences in training, in device memory; as in sequence_attention_backward.h. Launches and
// scratch only.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

struct TemporalParams {
  int64_t batch, steps, d, dv;
  float scale;
  const float *q, *keys, *values;
  const int32_t* lengths;
  float *c, *alpha;
};
struct TemporalGradients {
  const float* dc;
  float *dq, *dkeys, *dvalues;
};
void temporal_forward(const TemporalParams& params, Call& call);
void temporal_backward(const TemporalParams& params, const TemporalGradients& gradients, Call& call);

struct AdditiveWeights {
  int64_t d, k;
  const float *W, *b, *w;
};
struct AdditiveParams {
  int64_t batch, steps;
  const float* x;
  const int32_t* lengths;
  float *c, *alpha;  // alpha: or null
};
struct AdditiveGradients {
  const float* dc;
  float *dx, *dW, *db, *dw;
};
size_t additive_saved(const AdditiveWeights& weights, int64_t batch, int64_t steps);
void additive_forward(const AdditiveWeights& weights, const AdditiveParams& params, float* saved, Call& call);
void additive_backward(const AdditiveWeights& weights, const AdditiveParams& params, const float* saved,
                       const AdditiveGradients& gradients, Call& call);

struct SpatialParams {
  int64_t batch, channels, positions;
  bool query_per_row;
  float scale, bias;
  const float *x, *query;
  float* alpha;
};
struct SpatialGradients {
  const float* dc;
  float *dx, *dquery, *dbias;
};
// alpha alone: what backward needs of forward.
void spatial_weights(const SpatialParams& params, Call& call);
void spatial_backward(const SpatialParams& params, const SpatialGradients& gradients, Call& call);

}  // namespace cinefuse::gpu
