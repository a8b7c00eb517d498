#include "attend_simd.h"

#include "simd.h"

namespace {

CINEFUSE_INLINE float dot(long d, const float* a, const float* b) {
  V s0 = V{}, s1 = V{};
  long j = 0;
  for (; j + 2 * W <= d; j += 2 * W) {
    s0 += load(a + j) * load(b + j);
    s1 += load(a + j + W) * load(b + j + W);
  }
  for (; j + W <= d; j += W) s0 += load(a + j) * load(b + j);
  float rest = 0.f;
  for (; j < d; ++j) rest += a[j] * b[j];
  return hsum(s0 + s1) + rest;
}

void dots(long n, long d, float scale, float bias, const float* q, const float* x, long stride, float* e) {
  long t = 0;
  for (; t + 4 <= n; t += 4) {  // four rows share the loads of q and hide each other's latency
    const float* p = x + t * stride;
    V s0 = V{}, s1 = V{}, s2 = V{}, s3 = V{};
    long j = 0;
    for (; j + W <= d; j += W) {
      const V v = load(q + j);
      s0 += v * load(p + j);
      s1 += v * load(p + stride + j);
      s2 += v * load(p + 2 * stride + j);
      s3 += v * load(p + 3 * stride + j);
    }
    float r0 = 0.f, r1 = 0.f, r2 = 0.f, r3 = 0.f;
    for (; j < d; ++j) {
      r0 += q[j] * p[j];
      r1 += q[j] * p[stride + j];
      r2 += q[j] * p[2 * stride + j];
      r3 += q[j] * p[3 * stride + j];
    }
    e[t] = scale * (hsum(s0) + r0) + bias;
    e[t + 1] = scale * (hsum(s1) + r1) + bias;
    e[t + 2] = scale * (hsum(s2) + r2) + bias;
    e[t + 3] = scale * (hsum(s3) + r3) + bias;
  }
  for (; t < n; ++t) e[t] = scale * dot(d, q, x + t * stride) + bias;
}

// tanh x in half the time of vtanh, whose tails are better: absolute and relative error below 4e-7, at most
// 1, exactly 1 from 9.02 on; NaN stays NaN. x P(x^2) / Q(x^2) of least relative error on [-9.02, 9.02],
// fitted by reweighted least squares.
CINEFUSE_INLINE V score_tanh(V x) {
  // The operands' order lets NaN through.
  const V a = vmin(splat(9.02f), vmax(splat(-9.02f), x));
  const V z = a * a;
  V p = splat(1.331899746e-8f);
  p = p * z + splat(2.0583438527e-5f);
  p = p * z + splat(3.4940326586e-3f);
  p = p * z + splat(1.3379716873e-1f);
  p = p * z + splat(1.f);
  V q = splat(7.761992151e-7f);
  q = q * z + splat(3.2830893179e-4f);
  q = q * z + splat(2.5871066377e-2f);
  q = q * z + splat(4.6713033319e-1f);
  q = q * z + splat(1.f);
  return vmin(splat(1.f), vmax(splat(-1.f), a * p / q));
}

// s and what one row adds to it from j on.
CINEFUSE_INLINE V tanh_sum(V s, long j, long k, const float* w, const float* z) {
  for (; j + W <= k; j += W) s += load(w + j) * score_tanh(load(z + j));
  const int tail = static_cast<int>(k - j);
  if (tail) s += load_tail(w + j, tail) * score_tanh(load_tail(z + j, tail));
  return s;
}

void tanh_scores(long n, long k, const float* w, const float* z, long stride, float* e) {
  long t = 0;
  for (; t + 4 <= n; t += 4, z += 4 * stride) {  // four rows hide each other's latency
    V s0 = V{}, s1 = V{}, s2 = V{}, s3 = V{};
    long j = 0;
    for (; j + W <= k; j += W) {
      const V v = load(w + j);
      s0 += v * score_tanh(load(z + j));
      s1 += v * score_tanh(load(z + stride + j));
      s2 += v * score_tanh(load(z + 2 * stride + j));
      s3 += v * score_tanh(load(z + 3 * stride + j));
    }
    e[t] = hsum(tanh_sum(s0, j, k, w, z));
    e[t + 1] = hsum(tanh_sum(s1, j, k, w, z + stride));
    e[t + 2] = hsum(tanh_sum(s2, j, k, w, z + 2 * stride));
    e[t + 3] = hsum(tanh_sum(s3, j, k, w, z + 3 * stride));
  }
  for (; t < n; ++t, z += stride) e[t] = hsum(tanh_sum(V{}, 0, k, w, z));
}

void softmax(long n, const uint8_t* mask, float* e) {
  const float lowest = -__builtin_inff();
  if (mask) {
    for (long i = 0; i < n; ++i) {
      if (!mask[i]) e[i] = lowest;
    }
  }
  V m = splat(lowest);
  long i = 0;
  for (; i + W <= n; i += W) m = vmax(m, load(e + i));
  const int tail = static_cast<int>(n - i);
  if (tail) m = vmax(m, load_tail(e + i, tail, lowest));
  const float top = hmax(m);
  if (top == lowest) {
    // Nothing present, or nothing but NaN: the latter must stay visible.
    for (i = 0; i < n; ++i) e[i] = e[i] == lowest ? 0.f : e[i];
    return;
  }
  const V shift = splat(top);
  V sum = V{};
  for (i = 0; i + W <= n; i += W) {
    const V x = vexp(load(e + i) - shift);
    sum += x;
    store(e + i, x);
  }
  if (tail) {
    const V x = vexp(load_tail(e + i, tail, lowest) - shift);
    sum += x;
    store_tail(e + i, x, tail);
  }
  const float scale = 1.f / hsum(sum);
  for (i = 0; i + W <= n; i += W) store(e + i, load(e + i) * splat(scale));
  for (; i < n; ++i) e[i] *= scale;
  if (mask) {
    for (i = 0; i < n; ++i) {
      if (!mask[i]) e[i] = 0.f;  // also when a NaN among the present has spread
    }
  }
}

// Rows are short: as many as a vector has lanes go side by side, one to a lane.
void softmax_rows(long rows, long n, const uint8_t* mask, float* e) {
  const float lowest = -__builtin_inff();
  float lanes[cinefuse::kMostSoftmaxRow][W];
  for (; rows > 0; rows -= W, e += W * n, mask += mask ? W * n : 0) {
    const long here = rows < W ? rows : W;
    for (long r = 0; r < here; ++r) {
      for (long i = 0; i < n; ++i) lanes[i][r] = !mask || mask[r * n + i] ? e[r * n + i] : lowest;
    }
    for (long r = here; r < W; ++r) {
      for (long i = 0; i < n; ++i) lanes[i][r] = lowest;
    }
    V top = splat(lowest);
    for (long i = 0; i < n; ++i) top = vmax(top, load(lanes[i]));
    top = select(top == splat(lowest), V{}, top);  // nothing present: every exponential is 0
    V sum = V{};
    for (long i = 0; i < n; ++i) {
      const V x = vexp(load(lanes[i]) - top);
      sum += x;
      store(lanes[i], x);
    }
    const V scale = splat(1.f) / select(sum == V{}, splat(1.f), sum);
    for (long i = 0; i < n; ++i) store(lanes[i], load(lanes[i]) * scale);
    for (long r = 0; r < here; ++r) {
      for (long i = 0; i < n; ++i) e[r * n + i] = !mask || mask[r * n + i] ? lanes[i][r] : 0.f;
    }
  }
}

template <int Vectors>
CINEFUSE_INLINE void sum_columns(long n, const float* a, const float* x, long stride, float* c) {
  V s[Vectors];
  for (int v = 0; v < Vectors; ++v) s[v] = V{};
  for (long t = 0; t < n; ++t) {
    if (a[t] == 0.f) continue;
    const V weight = splat(a[t]);
    for (int v = 0; v < Vectors; ++v) s[v] += weight * load(x + t * stride + v * W);
  }
  for (int v = 0; v < Vectors; ++v) store(c + v * W, s[v]);
}

void weighted_sum(long n, long d, const float* a, const float* x, long stride, float* c) {
  long j = 0;
  for (; j + 8 * W <= d; j += 8 * W) sum_columns<8>(n, a, x + j, stride, c + j);
  for (; j + 2 * W <= d; j += 2 * W) sum_columns<2>(n, a, x + j, stride, c + j);
  for (; j + W <= d; j += W) sum_columns<1>(n, a, x + j, stride, c + j);
  const int tail = static_cast<int>(d - j);
  if (!tail) return;
  for (long i = j; i < d; ++i) c[i] = 0.f;
  for (long t = 0; t < n; ++t) {
    if (a[t] == 0.f) continue;
    for (long i = j; i < d; ++i) c[i] += a[t] * x[t * stride + i];
  }
}

void feature_attend(long n, long d, float* const* e, float* const* a, const float* const* h, float* c) {
  for (long j = 0; j < d; j += W) {
    const int tail = d - j < W ? static_cast<int>(d - j) : 0;
    const V e0 = !e[0] ? V{} : tail ? load_tail(e[0] + j, tail) : load(e[0] + j);
    V m = e0;
    for (long i = 1; i < n; ++i) m = vmax(m, tail ? load_tail(e[i] + j, tail) : load(e[i] + j));
    const V x0 = vexp(e0 - m);
    V sum = x0;
    V acc = x0 * (tail ? load_tail(h[0] + j, tail) : load(h[0] + j));
    for (long i = 1; i < n; ++i) {
      const V x = vexp((tail ? load_tail(e[i] + j, tail) : load(e[i] + j)) - m);
      sum += x;
      acc += x * (tail ? load_tail(h[i] + j, tail) : load(h[i] + j));
      if (tail) {
        store_tail(e[i] + j, x, tail);
      } else {
        store(e[i] + j, x);
      }
    }
    const V scale = splat(1.f) / sum;
    if (tail) {
      store_tail(c + j, acc * scale, tail);
      if (!a) continue;
      store_tail(a[0] + j, x0 * scale, tail);
      for (long i = 1; i < n; ++i) store_tail(a[i] + j, load_tail(e[i] + j, tail) * scale, tail);
    } else {
      store(c + j, acc * scale);
      if (!a) continue;
      store(a[0] + j, x0 * scale);
      for (long i = 1; i < n; ++i) store(a[i] + j, load(e[i] + j) * scale);
    }
  }
}

void axpy(long n, float a, const float* x, float* y) {
  long i = 0;
  for (; i + W <= n; i += W) store(y + i, splat(a) * load(x + i) + load(y + i));
  for (; i < n; ++i) y[i] += a * x[i];
}

void subtract(long n, const float* x, const float* z, float* y) {
  long i = 0;
  for (; i + W <= n; i += W) store(y + i, load(x + i) - load(z + i));
  for (; i < n; ++i) y[i] = x[i] - z[i];
}

void standardise(long n, const float* x, const float* mean, const float* scale, float* y) {
  long i = 0;
  for (; i + W <= n; i += W) store(y + i, (load(x + i) - load(mean + i)) * load(scale + i));
  for (; i < n; ++i) y[i] = (x[i] - mean[i]) * scale[i];
}

long first_non_finite(long n, const float* x) {
  // An infinite or NaN value has all exponent bits set.
  const int32_t exponent = 0x7f800000;
  long i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    VI bad = VI{};
    for (int v = 0; v < 4; ++v) {
      bad |= (reinterpret_cast<VI>(load(x + i + v * W)) & splat_i(exponent)) == splat_i(exponent);
    }
    int32_t any = 0;
    for (int lane = 0; lane < W; ++lane) any |= bad[lane];
    if (any) break;
  }
  for (; i < n; ++i) {
    int32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    if ((bits & exponent) == exponent) return i;
  }
  return -1;
}

float sum(long n, const float* x) {
  V s = V{};
  long i = 0;
  for (; i + W <= n; i += W) s += load(x + i);
  float rest = 0.f;
  for (; i < n; ++i) rest += x[i];
  return hsum(s) + rest;
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(AttendSimd, attend_simd) = {dots,         tanh_scores,      softmax, softmax_rows,
                                                 weighted_sum, feature_attend,   axpy,    subtract,
                                                 standardise,  first_non_finite, sum};
}
