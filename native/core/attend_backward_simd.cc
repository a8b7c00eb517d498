#include "attend_backward_simd.h"

#include "simd.h"

namespace {

// A vector, or at the end of a row what is left of one.
CINEFUSE_INLINE V load_some(const float* p, long left) {
  return left >= W ? load(p) : load_tail(p, static_cast<int>(left));
}
CINEFUSE_INLINE void store_some(float* p, V v, long left) {
  if (left >= W) {
    store(p, v);
  } else {
    store_tail(p, v, static_cast<int>(left));
  }
}
// 0 where a is 0, NaN elsewhere included
CINEFUSE_INLINE V times(V a, V x) { return select(a == V{}, V{}, a * x); }

void softmax(long n, float scale, const float* a, const float* g, float* e) {
  V sum = V{};
  for (long i = 0; i < n; i += W) sum += times(load_some(a + i, n - i), load_some(g + i, n - i));
  const V mean = splat(hsum(sum));
  for (long i = 0; i < n; i += W) {
    const V weight = load_some(a + i, n - i);
    store_some(e + i, times(weight, load_some(g + i, n - i) - mean) * splat(scale), n - i);
  }
}

void feature_attend(long n, long d, const float* const* a, const float* const* h, const float* dc,
                    float* const* de, float* const* dh) {
  for (long j = 0; j < d; j += W) {
    const long left = d - j;
    V c = V{};
    for (long i = 0; i < n; ++i) c += load_some(a[i] + j, left) * load_some(h[i] + j, left);
    const V from = load_some(dc + j, left);
    for (long i = 0; i < n; ++i) {
      const V direct = load_some(a[i] + j, left) * from;
      store_some(dh[i] + j, direct, left);
      store_some(de[i] + j, direct * (load_some(h[i] + j, left) - c), left);
    }
  }
}

void tanh_scores(long n, float e, const float* w, const float* t, float* dz) {
  for (long i = 0; i < n; i += W) {
    const V y = load_some(t + i, n - i);
    store_some(dz + i, splat(e) * load_some(w + i, n - i) * (splat(1.f) - y * y), n - i);
  }
}

void scale(long n, float a, const float* x, float* y) {
  for (long i = 0; i < n; i += W) store_some(y + i, splat(a) * load_some(x + i, n - i), n - i);
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(AttendBackwardSimd, attend_backward_simd) = {softmax, feature_attend, tanh_scores,
                                                                  scale};
}
