// Low-rank fusion on device memory, for networks that have one.
#pragma once
#include "../../cuda/gemm.h"
#include "low_rank_fusion_device.h"

namespace cinefuse::gpu {

struct LowRankFusionWeights {
  LowRankFusionWeights() = default;
  LowRankFusionWeights(Call& call, const cinefuse_low_rank_fusion_description& d);

  int modes = 0, activation = 0;
  float slope = 0.f;
  int64_t rank = 0, out = 0;
  GemmWeights factors[CINEFUSE_LOW_RANK_FUSION_MODES];  // of rank * out columns; bias: the factors of the 1
  Array<float> rank_weights, bias;
};

// y = f(b + sum_r w_r prod_m ([h_m; 1] . F_m[r])). h[m]: (rows, dims[m]), rows ldh[m] apart; present: (rows,
// modes), or null; y: (rows, out). All pointers but the arrays h and ldh themselves are device memory. What
// is absent is not read. Launches and scratch only.
void low_rank_fusion_rows(Call& call, const LowRankFusionWeights& weights, int64_t rows,
                          const float* const* h, const int64_t* ldh, const uint8_t* present, float* y);

}  // namespace cinefuse::gpu
