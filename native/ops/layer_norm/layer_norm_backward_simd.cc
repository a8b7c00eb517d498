#include "layer_norm_backward_simd.h"

#include "../../core/simd.h"

namespace {

CINEFUSE_INLINE V load_some(const float* p, long left, float fill) {
  return left >= W ? load(p) : load_tail(p, static_cast<int>(left), fill);
}
CINEFUSE_INLINE void store_some(float* p, V v, long left) {
  left >= W ? store(p, v) : store_tail(p, v, static_cast<int>(left));
}
// Zeros in the lanes past the end of a row.
CINEFUSE_INLINE V only(V v, long left) {
  return left >= W ? v : load_tail(reinterpret_cast<const float*>(&v), static_cast<int>(left));
}

void row(long cols, float eps, const float* x, const float* gain, const float* dy, float* dx, float* dgain,
         float* dbias) {
  const float n = static_cast<float>(cols), shift = x[0];  // as in layer_norm_simd.cc
  V sum = V{}, squares = V{};
  for (long i = 0; i < cols; i += W) sum += load_some(x + i, cols - i, shift) - shift;
  const float mean = hsum(sum) / n;
  for (long i = 0; i < cols; i += W) {
    const V d = (load_some(x + i, cols - i, shift) - shift) - mean;
    squares += only(d * d, cols - i);
  }
  const float scale = 1.f / __builtin_sqrtf(hsum(squares) / n + eps);
  V along = V{}, across = V{};  // Σ g dy, Σ g dy x̂
  for (long i = 0; i < cols; i += W) {
    const long left = cols - i;
    const V z = ((load_some(x + i, left, shift) - shift) - mean) * scale;
    const V d = load_some(dy + i, left, 0.f);
    if (dgain) store_some(dgain + i, load_some(dgain + i, left, 0.f) + d * z, left);
    if (dbias) store_some(dbias + i, load_some(dbias + i, left, 0.f) + d, left);
    const V g = gain ? d * load_some(gain + i, left, 0.f) : d;
    along += g;
    across += only(g * z, left);
  }
  if (!dx) return;
  const float mean_along = hsum(along) / n, mean_across = hsum(across) / n;
  for (long i = 0; i < cols; i += W) {
    const long left = cols - i;
    const V z = ((load_some(x + i, left, shift) - shift) - mean) * scale;
    const V d = load_some(dy + i, left, 0.f);
    const V g = gain ? d * load_some(gain + i, left, 0.f) : d;
    store_some(dx + i, (g - mean_along - z * mean_across) * scale, left);
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(LayerNormBackwardSimd, layer_norm_backward_simd) = {row};
}
