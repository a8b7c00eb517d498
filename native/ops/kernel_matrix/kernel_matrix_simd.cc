#include "kernel_matrix_simd.h"

#include "../../core/simd.h"

namespace {

CINEFUSE_INLINE V power(V base, int degree) {
  V y = base;
  for (int i = 1; i < degree; ++i) y *= base;
  return y;
}

struct Shape {
  int kind, degree;
  V gamma, constant, weight, x_square;
};

CINEFUSE_INLINE V kernel(const Shape& s, V dot, V z_square, V q) {
  V k = dot;
  if (s.kind == 1) {
    k = vexp(-s.gamma * vmax(splat(0.f), s.x_square + z_square - splat(2.f) * dot));
  } else if (s.kind == 2) {
    k = power(s.gamma * dot + s.constant, s.degree);
  }
  return s.weight * q * k;
}

float square(long n, const float* x) {
  V sum[4] = {};
  long i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const V a = load(x + i + v * W);
      sum[v] += a * a;
    }
  }
  for (; i + W <= n; i += W) {
    const V a = load(x + i);
    sum[0] += a * a;
  }
  float rest = 0.f;
  for (; i < n; ++i) rest += x[i] * x[i];
  return hsum((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

void finish(int kind, int degree, float gamma, float constant, float weight, long n, float x_square,
            const float* z_squares, const float* q, float* k) {
  const Shape s{kind, degree, splat(gamma), splat(constant), splat(weight), splat(x_square)};
  long j = 0;
  for (; j + W <= n; j += W) store(k + j, kernel(s, load(k + j), load(z_squares + j), load(q + j)));
  if (j < n) {
    const int left = static_cast<int>(n - j);
    store_tail(k + j,
               kernel(s, load_tail(k + j, left), load_tail(z_squares + j, left), load_tail(q + j, left)),
               left);
  }
}

void add(long n, const float* k, float* f) {
  long j = 0;
  for (; j + W <= n; j += W) store(f + j, load(f + j) + load(k + j));
  for (; j < n; ++j) f[j] += k[j];
}

void multiply(long n, float constant, const float* k, float* f) {
  long j = 0;
  for (; j + W <= n; j += W) store(f + j, load(f + j) * (splat(constant) + load(k + j)));
  for (; j < n; ++j) f[j] *= constant + k[j];
}

void scale(long n, float constant, float* f) {
  for (long j = 0; j < n; ++j) f[j] *= constant;
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(KernelSimd, kernel_simd) = {square, finish, add, multiply, scale};
}
