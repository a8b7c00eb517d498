#include "layer_norm_simd.h"

#include "../../core/simd.h"

namespace {

// Loads a vector or, at the end of a row, what is left of one.
CINEFUSE_INLINE V load_some(const float* p, long left, float fill) {
  return left >= W ? load(p) : load_tail(p, static_cast<int>(left), fill);
}

void row(long cols, float eps, const float* x, const float* gain, const float* bias, float* y) {
  // Values less the first one are exact where it matters: for an offset far above the spread. Two
  // accumulators hide the latency of the additions.
  const float shift = x[0];
  V sum[2] = {};
  for (long i = 0, v = 0; i < cols; i += W, ++v) sum[v & 1] += load_some(x + i, cols - i, shift) - shift;
  const float n = static_cast<float>(cols);
  const float mean = hsum(sum[0] + sum[1]) / n;
  V squares[2] = {};
  for (long i = 0, v = 0; i < cols; i += W, ++v) {
    const V d = (load_some(x + i, cols - i, shift) - shift) - mean;
    const V square = d * d;
    // Lanes past the end hold the mean's square, not zero.
    squares[v & 1] += cols - i >= W
                          ? square
                          : load_tail(reinterpret_cast<const float*>(&square), static_cast<int>(cols - i));
  }
  const float variance = hsum(squares[0] + squares[1]) / n;
  const float scale = 1.f / __builtin_sqrtf(variance + eps);
  long i = 0;
  for (; i + W <= cols; i += W) {
    V z = ((load(x + i) - shift) - mean) * scale;
    if (gain) z *= load(gain + i);
    if (bias) z += load(bias + i);
    store(y + i, z);
  }
  for (; i < cols; ++i) {
    float z = ((x[i] - shift) - mean) * scale;
    if (gain) z *= gain[i];
    if (bias) z += bias[i];
    y[i] = z;
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(LayerNormSimd, layer_norm_simd) = {row};
}
