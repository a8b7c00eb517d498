#include "optimizer_simd.h"

#include "../../core/simd.h"

namespace {

using cinefuse::OptimizerStep;

// Only these of the arithmetic are switched off by their zeros: 0 times an infinite parameter is NaN.
CINEFUSE_INLINE V gradient(const OptimizerStep& s, V g, V p) {
  g = g * splat(s.scale);
  if (s.l2 != 0.f) g += splat(s.l2) * p;
  if (s.l1 != 0.f) {
    const V l1 = splat(s.l1);
    g += select(p > V{}, l1, select(p < V{}, -l1, V{}));
  }
  return g;
}

CINEFUSE_INLINE V root(V x) {
  V y;
  for (int i = 0; i < W; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
}

CINEFUSE_INLINE void sgd_vector(const OptimizerStep& s, float* p, const float* g, float* v) {
  const V at = load(p);
  V step = gradient(s, load(g), at);
  if (v) {
    const V velocity = s.first ? step : splat(s.momentum) * load(v) + step;
    store(v, velocity);
    step = s.nesterov ? step + splat(s.momentum) * velocity : velocity;
  }
  store(p, at - splat(s.rate) * step);
}

CINEFUSE_INLINE void adam_vector(const OptimizerStep& s, float* p, const float* g, float* m, float* v) {
  V at = load(p);
  const V step = gradient(s, load(g), at);
  if (s.decay != 1.f) at *= splat(s.decay);
  const V first = splat(s.beta1) * load(m) + splat(1.f - s.beta1) * step;
  const V second = splat(s.beta2) * load(v) + splat(1.f - s.beta2) * (step * step);
  store(m, first);
  store(v, second);
  store(p, at - splat(s.rate) * first / (root(second) * splat(s.root) + splat(s.eps)));
}

void sgd(const OptimizerStep* step, long n, float* p, const float* g, float* v) {
  const OptimizerStep s = *step;
  long i = 0;
  for (; i + W <= n; i += W) sgd_vector(s, p + i, g + i, v ? v + i : nullptr);
  if (i == n) return;
  const int left = static_cast<int>(n - i);
  float tail_p[W], tail_g[W], tail_v[W];
  store(tail_p, load_tail(p + i, left));
  store(tail_g, load_tail(g + i, left));
  if (v) store(tail_v, load_tail(v + i, left));
  sgd_vector(s, tail_p, tail_g, v ? tail_v : nullptr);
  store_tail(p + i, load(tail_p), left);
  if (v) store_tail(v + i, load(tail_v), left);
}

void adam(const OptimizerStep* step, long n, float* p, const float* g, float* m, float* v) {
  const OptimizerStep s = *step;
  long i = 0;
  for (; i + W <= n; i += W) adam_vector(s, p + i, g + i, m + i, v + i);
  if (i == n) return;
  const int left = static_cast<int>(n - i);
  float tail_p[W], tail_g[W], tail_m[W], tail_v[W];
  store(tail_p, load_tail(p + i, left));
  store(tail_g, load_tail(g + i, left));
  store(tail_m, load_tail(m + i, left));
  store(tail_v, load_tail(v + i, left));
  adam_vector(s, tail_p, tail_g, tail_m, tail_v);
  store_tail(p + i, load(tail_p), left);
  store_tail(m + i, load(tail_m), left);
  store_tail(v + i, load(tail_v), left);
}

typedef double D __attribute__((vector_size(W * 8), aligned(8), may_alias));

double squared_norm(long n, const float* g) {
  D sum[2] = {};
  long i = 0;
  for (; i + W <= n; i += W) {
    const D d = __builtin_convertvector(load(g + i), D);
    sum[i / W & 1] += d * d;
  }
  const D all = sum[0] + sum[1];
  double total = 0.;
  for (int lane = 0; lane < W; ++lane) total += all[lane];
  for (; i < n; ++i) total += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  return total;
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(OptimizerSimd, optimizer_simd) = {sgd, adam, squared_norm};
}
