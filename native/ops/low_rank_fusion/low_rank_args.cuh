// What the kernels of a low-rank fusion are told.
#pragma once
#include "../activation/activation_math.cuh"
#include "low_rank_fusion_device.h"

namespace cinefuse::gpu {

constexpr int kLowRankModes = CINEFUSE_LOW_RANK_FUSION_MODES;

struct LowRankArgs {
  const float* h[kLowRankModes];
  int64_t ldh[kLowRankModes];
  const uint32_t* factors[kLowRankModes];  // float32, or two bfloat16 a word
  int64_t factor_words[kLowRankModes];     // from row to row
  int32_t factor_ends[kLowRankModes];      // numbers in a row, with the zeros that fill it up
  int32_t dims[kLowRankModes];
  const float* ones[kLowRankModes];
  const uint8_t* present;
  const float *rank_weights, *bias;
  float* y;
  int32_t rows, modes, rank, out;
  int32_t vectors;  // bit m: rows of h[m] go by 16 bytes
  int32_t activation;
  float slope;
  int32_t columns, parts;  // of few rows: outputs a block, warps a row of factors
};

}  // namespace cinefuse::gpu
