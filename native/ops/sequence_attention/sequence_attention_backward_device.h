// What the CUDA library is told of the gradients of attention over sequences; fields and shapes as in
// sequence_attention_backward.h, in host memory.
#pragma once
#include <stdint.h>

struct cinefuse_temporal_backward_params {
  int64_t batch, steps, d, dv;
  float scale;
  int32_t reserved;
  const float *q, *keys, *values;
  const int32_t* lengths;  // or null
  const float* dc;
  float *dq, *dkeys, *dvalues;
};

struct cinefuse_additive_backward_params {
  int64_t d, k, batch, steps;
  const float *W, *b, *w, *x;
  const int32_t* lengths;  // or null
  const float* dc;
  float *dx, *dW, *db, *dw;
};

struct cinefuse_spatial_backward_params {
  int64_t batch, channels, positions;
  int32_t query_per_row;
  float scale, bias;
  int32_t reserved;
  const float *x, *query, *dc;
  float *dx, *dquery, *dbias;
};

// weights, gradients: in the order of cross_arrays in sequence_attention.h, 8 or, with ff > 0, 16.
struct cinefuse_cross_backward_params {
  int64_t width, context_width, heads, ff, batch, queries, keys;
  const float* weights[16];
  const float *x, *ctx;
  const uint8_t* present;  // or null
  const float* dy;
  float *dx, *dctx;
  float* gradients[16];
};
