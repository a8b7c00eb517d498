// The end of a tensor fusion: the sums of all splits, bias and activation.
#pragma once
#include "../../cuda/device.h"
#include "fusion_order.cuh"

namespace cinefuse::gpu {

struct FusionSumArgs {
  FusionArgs plain;   // with the float32 weights
  const float* bias;  // or null
  float* y;           // (rows, out)
  int64_t out;
  int32_t activation;
  float slope;
  int32_t groups;   // that share the splits of a row, a power of two
  int32_t vectors;  // rows of y begin at multiples of 16 bytes
};

void fusion_sum_launch(Call& call, FusionSumArgs p);  // sets `groups`

}  // namespace cinefuse::gpu
