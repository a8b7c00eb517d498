#include "activation_simd.h"

#include "../../core/simd.h"

namespace {

// erf by Abramowitz and Stegun 7.1.26, absolute error below 2.5e-7 in float32.
CINEFUSE_INLINE V verf(V x) {
  const V a = vabs(x);
  const V t = splat(1.f) / (splat(1.f) + splat(0.3275911f) * a);
  V p = splat(1.061405429f);
  p = p * t + splat(-1.453152027f);
  p = p * t + splat(1.421413741f);
  p = p * t + splat(-0.284496736f);
  p = p * t + splat(0.254829592f);
  const V y = splat(1.f) - p * t * vexp(-(a * a));
  return select(x < splat(0.f), -y, y);
}

CINEFUSE_INLINE V relu(V x, float) { return select(x <= splat(0.f), V{}, x); }
CINEFUSE_INLINE V leaky_relu(V x, float slope) { return select(x <= splat(0.f), x * slope, x); }
CINEFUSE_INLINE V tanh_(V x, float) { return vtanh(x); }
CINEFUSE_INLINE V sigmoid(V x, float) { return vsigmoid(x); }
CINEFUSE_INLINE V gelu(V x, float) {
  return splat(0.5f) * x * (splat(1.f) + verf(x * splat(0.70710678118654752f)));
}
CINEFUSE_INLINE V gelu_tanh(V x, float) {
  const V u = splat(0.79788456080286536f) * (x + splat(0.044715f) * x * x * x);
  return splat(0.5f) * x * (splat(1.f) + vtanh(u));
}
CINEFUSE_INLINE V silu(V x, float) { return x * vsigmoid(x); }
CINEFUSE_INLINE V softplus(V x, float) {
  // ln(1 + e) with the digits that 1 + e rounds away put back: exact to the last bits for the smallest e too.
  const V e = vexp(-vabs(x)), u = splat(1.f) + e, d = u - splat(1.f);
  const V log1p = select(d > splat(0.f), vlog(u) * (e / d), e);
  return select(x > splat(0.f), x, V{}) + log1p + (x - x);
}

template <V (*F)(V, float)>
CINEFUSE_INLINE void apply(float slope, long n, const float* x, float* y) {
  long i = 0;
  for (; i + W <= n; i += W) store(y + i, F(load(x + i), slope));
  if (i < n) store_tail(y + i, F(load_tail(x + i, static_cast<int>(n - i)), slope), static_cast<int>(n - i));
}

void elementwise(int kind, float slope, long n, const float* x, float* y) {
  switch (kind) {
    case 0:
      if (x != y) __builtin_memmove(y, x, sizeof(float) * static_cast<size_t>(n));
      break;
    case 1:
      apply<relu>(slope, n, x, y);
      break;
    case 2:
      apply<leaky_relu>(slope, n, x, y);
      break;
    case 3:
      apply<tanh_>(slope, n, x, y);
      break;
    case 4:
      apply<sigmoid>(slope, n, x, y);
      break;
    case 5:
      apply<gelu>(slope, n, x, y);
      break;
    case 6:
      apply<gelu_tanh>(slope, n, x, y);
      break;
    case 7:
      apply<silu>(slope, n, x, y);
      break;
    case 8:
      apply<softplus>(slope, n, x, y);
      break;
  }
}

void softmax(bool log, long cols, const float* x, float* y) {
  const float lowest = -__builtin_inff();
  V m = splat(lowest);
  long i = 0;
  for (; i + W <= cols; i += W) {
    m = vmax(m, load(x + i));
  }
  const int tail = static_cast<int>(cols - i);
  if (tail) m = vmax(m, load_tail(x + i, tail, lowest));
  const float top = hmax(m);
  const V shift = splat(top);
  V sum = V{};
  for (i = 0; i + W <= cols; i += W) {
    const V e = vexp(load(x + i) - shift);
    sum += e;
    if (!log) store(y + i, e);
  }
  if (tail) {
    const V e = vexp(load_tail(x + i, tail, lowest) - shift);
    sum += e;
    if (!log) store_tail(y + i, e, tail);
  }
  const float total = hsum(sum);
  if (log) {
    const V offset = shift + vlog(splat(total));
    for (i = 0; i + W <= cols; i += W) store(y + i, load(x + i) - offset);
    if (tail) store_tail(y + i, load_tail(x + i, tail) - offset, tail);
  } else {
    const V scale = splat(1.f / total);
    for (i = 0; i + W <= cols; i += W) store(y + i, load(y + i) * scale);
    if (tail) store_tail(y + i, load_tail(y + i, tail) * scale, tail);
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(ActivationSimd, activation_simd) = {elementwise, softmax};
}
