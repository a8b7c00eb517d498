#include "activation_backward_simd.h"

#include "../../core/simd.h"

namespace {

// erf by Abramowitz and Stegun 7.1.26, absolute error below 2.5e-7 in float32; e = exp(-x²).
CINEFUSE_INLINE V verf(V x, V e) {
  const V a = vabs(x);
  const V t = splat(1.f) / (splat(1.f) + splat(0.3275911f) * a);
  V p = splat(1.061405429f);
  p = p * t + splat(-1.453152027f);
  p = p * t + splat(1.421413741f);
  p = p * t + splat(-0.284496736f);
  p = p * t + splat(0.254829592f);
  const V y = splat(1.f) - p * t * e;
  return select(x < splat(0.f), -y, y);
}

// The slopes of the smooth ones are constant to the last bit beyond this; products with x stay finite.
CINEFUSE_INLINE V within(V x, float most) { return vmin(vmax(x, splat(-most)), splat(most)); }
CINEFUSE_INLINE V keep_nan(V x, V slope) { return select(x != x, x, slope); }

CINEFUSE_INLINE V leaky_relu(V x, V, float slope) {
  return select(x <= splat(0.f), splat(slope), splat(1.f));
}
CINEFUSE_INLINE V tanh_(V, V y, float) { return (splat(1.f) - y) * (splat(1.f) + y); }
CINEFUSE_INLINE V sigmoid(V, V y, float) { return y * (splat(1.f) - y); }
CINEFUSE_INLINE V gelu(V x, V, float) {
  const V a = within(x, 15.f), e = vexp(splat(-0.5f) * a * a);
  return keep_nan(x, splat(0.5f) * (splat(1.f) + verf(a * splat(0.70710678118654752f), e)) +
                         a * splat(0.39894228040143268f) * e);
}
CINEFUSE_INLINE V gelu_tanh(V x, V, float) {
  const V a = within(x, 15.f), square = a * a;
  const V t = vtanh(splat(0.79788456080286536f) * a * (splat(1.f) + splat(0.044715f) * square));
  const V inner = splat(0.79788456080286536f) * (splat(1.f) + splat(0.134145f) * square);
  return keep_nan(
      x, splat(0.5f) * (splat(1.f) + t) + splat(0.5f) * a * (splat(1.f) - t) * (splat(1.f) + t) * inner);
}
CINEFUSE_INLINE V silu(V x, V, float) {
  const V a = within(x, 120.f), s = vsigmoid(a);
  return keep_nan(x, s * (splat(1.f) + a * (splat(1.f) - s)));
}
CINEFUSE_INLINE V softplus(V x, V, float) { return keep_nan(x, vsigmoid(x)); }

template <V (*Slope)(V, V, float)>
CINEFUSE_INLINE void apply(float slope, long n, const float* x, const float* y, const float* dy, float* dx) {
  long i = 0;
  for (; i + W <= n; i += W) store(dx + i, load(dy + i) * Slope(load(x + i), load(y + i), slope));
  const int left = static_cast<int>(n - i);
  if (left > 0) {
    store_tail(dx + i, load_tail(dy + i, left) * Slope(load_tail(x + i, left), load_tail(y + i, left), slope),
               left);
  }
}

// A slope of 0 gives 0 whatever comes back: an infinite dy must not become NaN.
void relu_all(long n, const float* x, const float* dy, float* dx) {
  long i = 0;
  for (; i + W <= n; i += W) store(dx + i, select(load(x + i) <= splat(0.f), V{}, load(dy + i)));
  for (; i < n; ++i) dx[i] = x[i] <= 0.f ? 0.f : dy[i];
}

void elementwise(int kind, float slope, long n, const float* x, const float* y, const float* dy, float* dx) {
  switch (kind) {
    case 0:
      if (dx != dy) __builtin_memmove(dx, dy, sizeof(float) * static_cast<size_t>(n));
      break;
    case 1:
      relu_all(n, x, dy, dx);
      break;
    case 2:
      apply<leaky_relu>(slope, n, x, y, dy, dx);
      break;
    case 3:
      apply<tanh_>(slope, n, x, y, dy, dx);
      break;
    case 4:
      apply<sigmoid>(slope, n, x, y, dy, dx);
      break;
    case 5:
      apply<gelu>(slope, n, x, y, dy, dx);
      break;
    case 6:
      apply<gelu_tanh>(slope, n, x, y, dy, dx);
      break;
    case 7:
      apply<silu>(slope, n, x, y, dy, dx);
      break;
    case 8:
      apply<softplus>(slope, n, x, y, dy, dx);
      break;
  }
}

void softmax(bool log, long cols, const float* y, const float* dy, float* dx) {
  V sum = V{};
  long i = 0;
  for (; i + W <= cols; i += W) sum += log ? load(dy + i) : load(dy + i) * load(y + i);
  const int left = static_cast<int>(cols - i);
  if (left) {
    const V d = load_tail(dy + i, left);
    sum += log ? d : d * load_tail(y + i, left);
  }
  const V total = splat(hsum(sum));
  for (i = 0; i + W <= cols; i += W) {
    const V d = load(dy + i), v = load(y + i);
    store(dx + i, log ? d - vexp(v) * total : v * (d - total));
  }
  if (left) {
    const V d = load_tail(dy + i, left), v = load_tail(y + i, left);
    store_tail(dx + i, log ? d - vexp(v) * total : v * (d - total), left);
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(ActivationBackwardSimd, activation_backward_simd) = {elementwise, softmax};
}
