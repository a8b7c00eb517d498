#pragma once

namespace cinefuse {

struct LowRankFusionSimd {
  // y[o] = bias[o] + sum_r weights[r] * prod_m g[m * stride + r * out + o], r ascending
  void (*combine)(int modes, long rank, long out, const float* g, long stride, const float* weights,
                  const float* bias, float* y);
  // For columns c < n: dp[m * dp_stride + c] = dy[c] * weights[c] * prod_{i != m} p[i * stride + c], and
  // total[c] += dy[c] * prod_i p[i * stride + c].
  void (*gradients)(int modes, int n, const float* dy, const float* weights, const float* p, long stride,
                    float* dp, long dp_stride, float* total);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(LowRankFusionSimd, low_rank_fusion_simd)
}
#endif
