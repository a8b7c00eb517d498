#include "low_rank_fusion_simd.h"

#include "../../core/simd.h"

namespace {

void combine(int modes, long rank, long out, const float* g, long stride, const float* weights,
             const float* bias, float* y) {
  long o = 0;
  for (; o + W <= out; o += W) {
    V sum = load(bias + o);
    for (long r = 0; r < rank; ++r) {
      const float* at = g + r * out + o;
      V product = load(at);
      for (int m = 1; m < modes; ++m) product *= load(at + m * stride);
      sum += product * weights[r];
    }
    store(y + o, sum);
  }
  if (o == out) return;
  const int tail = static_cast<int>(out - o);
  V sum = load_tail(bias + o, tail);
  for (long r = 0; r < rank; ++r) {
    const float* at = g + r * out + o;
    V product = load_tail(at, tail);
    for (int m = 1; m < modes; ++m) product *= load_tail(at + m * stride, tail);
    sum += product * weights[r];
  }
  store_tail(y + o, sum, tail);
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(LowRankFusionSimd, low_rank_fusion_simd) = {combine};
}
