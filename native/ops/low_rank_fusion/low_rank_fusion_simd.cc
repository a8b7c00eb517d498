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

constexpr int kModes = 8;

// Products from both sides: `before` of the modes so far, going up; `after` of those behind, going down.
template <class Load, class Store>
CINEFUSE_INLINE void gradients_at(int modes, int c, const float* dy, const float* weights, const float* p,
                                  long stride, float* dp, long dp_stride, float* total, Load load_at,
                                  Store store_at) {
  V value[kModes], before[kModes];
  const V g = load_at(dy + c);
  V product = g;
  for (int m = 0; m < modes; ++m) {
    value[m] = load_at(p + m * stride + c);
    before[m] = product;
    product *= value[m];
  }
  store_at(total + c, load_at(total + c) + product);
  V after = load_at(weights + c);
  for (int m = modes - 1; m >= 0; --m) {
    store_at(dp + m * dp_stride + c, before[m] * after);
    after *= value[m];
  }
}

void gradients(int modes, int n, const float* dy, const float* weights, const float* p, long stride,
               float* dp, long dp_stride, float* total) {
  int c = 0;
  for (; c + W <= n; c += W) {
    gradients_at(modes, c, dy, weights, p, stride, dp, dp_stride, total, load, store);
  }
  if (c == n) return;
  const int tail = n - c;
  gradients_at(
      modes, c, dy, weights, p, stride, dp, dp_stride, total,
      [tail](const float* from) { return load_tail(from, tail); },
      [tail](float* to, V v) { store_tail(to, v, tail); });
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(LowRankFusionSimd, low_rank_fusion_simd) = {combine, gradients};
}
