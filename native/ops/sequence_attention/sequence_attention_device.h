// What the CUDA library is told of the four attentions over sequences; fields and shapes as in
// sequence_attention.h.
#pragma once
#include <stdint.h>

struct cinefuse_temporal_params {
  int64_t batch, steps, d, dv;
  float scale;
  int32_t reserved;
  const float *q, *keys, *values;
  const int32_t* lengths;  // or null
  float *c, *alpha;
};

struct cinefuse_additive_description {
  int64_t d, k;
  const float *W, *b, *w;
};
struct cinefuse_additive_params {
  int64_t batch, steps;
  const float* x;
  const int32_t* lengths;  // or null
  float *c, *alpha;
};

struct cinefuse_spatial_params {
  int64_t batch, channels, positions;
  int32_t query_per_row;
  float scale, bias;
  int32_t reserved;
  const float *x, *query;
  float *c, *alpha;
};

// Wkv: the rows of Wk, then those of Wv. From W1 on: null without a block.
struct cinefuse_cross_description {
  int64_t width, context_width, heads, ff;
  const float *Wq, *bq, *Wkv, *bkv, *Wo, *bo;
  const float *W1, *b1, *W2, *b2, *gain1, *shift1, *gain2, *shift2;
};
struct cinefuse_cross_params {
  int64_t batch, queries, keys;
  const float *x, *ctx;
  const uint8_t* present;  // or null
  float *y, *alpha;        // alpha: or null
};
