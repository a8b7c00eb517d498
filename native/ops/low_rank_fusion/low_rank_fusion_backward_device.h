// Low-rank fusion in training on the device; fields as in low_rank_fusion_backward.h. With dy, gradients;
// else y alone.
#pragma once
#include <stdint.h>

struct cinefuse_low_rank_fusion_training {
  int64_t rows, modes, rank, out;
  int64_t d[8];
  const float* h[8];
  const uint8_t* present;  // or null
  const float* factors[8];
  const float *rank_weights, *bias, *dy;  // or null
  float *y, *drank_weights, *dbias;
  float *dh[8], *dfactors[8];
};
