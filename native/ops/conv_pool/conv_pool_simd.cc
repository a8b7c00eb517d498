#include "conv_pool_simd.h"

#include "../../core/simd.h"

namespace {

CINEFUSE_INLINE V load_some(const float* p, long left) {
  return left >= W ? load(p) : load_tail(p, static_cast<int>(left));
}
CINEFUSE_INLINE void store_some(float* p, V v, long left) {
  left >= W ? store(p, v) : store_tail(p, v, static_cast<int>(left));
}
// Lanes where v takes the place of the largest so far. A NaN stays: nothing is greater, and only a later NaN
// would replace it, which `best` being one forbids.
CINEFUSE_INLINE VI takes(V v, V best) { return (v > best) | ((v != v) & (best == best)); }

void largest(long rows, long cols, const float* sums, int32_t first, float* y, int32_t* place) {
  for (long c = 0; c < cols; c += W) {
    const long left = cols - c;
    V best = load_some(first == 0 ? sums + c : y + c, left);
    if (!place) {
      for (long r = 0; r < rows; ++r) {
        const V v = load_some(sums + r * cols + c, left);
        best = select(takes(v, best), v, best);
      }
      store_some(y + c, best, left);
      continue;
    }
    VI at = VI{};
    for (int i = 0; first != 0 && i < W && i < left; ++i) at[i] = place[c + i];
    for (long r = 0; r < rows; ++r) {
      const V v = load_some(sums + r * cols + c, left);
      const VI better = takes(v, best);
      best = select(better, v, best);
      at = better ? splat_i(first + static_cast<int32_t>(r)) : at;
    }
    store_some(y + c, best, left);
    for (int i = 0; i < W && i < left; ++i) place[c + i] = at[i];
  }
}

void add_scaled(long n, float a, const float* x, float* y) {
  long i = 0;
  for (; i + W <= n; i += W) store(y + i, load(y + i) + load(x + i) * a);
  if (i == n) return;
  const int tail = static_cast<int>(n - i);
  store_tail(y + i, load_tail(y + i, tail) + load_tail(x + i, tail) * a, tail);
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(ConvPoolSimd, conv_pool_simd) = {largest, add_scaled};
}
