// What the CUDA library is told of a low-rank fusion; fields as in low_rank_fusion.h.
#pragma once
#include <stdint.h>

#define CINEFUSE_LOW_RANK_FUSION_MODES 8

struct cinefuse_low_rank_fusion_description {
  int64_t rank, out;
  int32_t modes, activation;  // enum class Activation, elementwise
  float slope;
  int32_t reserved;
  int32_t dims[CINEFUSE_LOW_RANK_FUSION_MODES];
  // Without the appended 1: (rank * out, dims[m]), and for it: (rank * out); rank by rank.
  const float* factors[CINEFUSE_LOW_RANK_FUSION_MODES];
  const float* ones[CINEFUSE_LOW_RANK_FUSION_MODES];
  const float* rank_weights;  // (rank)
  const float* bias;          // (out)
};

struct cinefuse_low_rank_fusion_params {
  int64_t rows;
  const float* h[CINEFUSE_LOW_RANK_FUSION_MODES];  // (rows, dims[m])
  const uint8_t* present;                          // (rows, modes), or null
  float* y;                                        // (rows, out)
};
