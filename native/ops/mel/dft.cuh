// Transforms of a few points in registers: e^(-2 pi i) convention, natural order, in place.
#pragma once
#include "../../cuda/portable.h"

namespace cinefuse::gpu {

__device__ __forceinline__ float2 add(float2 a, float2 b) { return make_float2(a.x + b.x, a.y + b.y); }
__device__ __forceinline__ float2 sub(float2 a, float2 b) { return make_float2(a.x - b.x, a.y - b.y); }
// a - i b and a + i b without forming i b
__device__ __forceinline__ float2 minus_i(float2 a, float2 b) { return make_float2(a.x + b.y, a.y - b.x); }
__device__ __forceinline__ float2 plus_i(float2 a, float2 b) { return make_float2(a.x - b.y, a.y + b.x); }
__device__ __forceinline__ float2 times(float2 a, float2 w) {
  return make_float2(a.x * w.x - a.y * w.y, a.x * w.y + a.y * w.x);
}

// cos and sin of -2 pi k / N, in float64 by their series: N <= 64 needs no more than 8 terms an octant.
template <int N>
struct Turns {
  float re[N], im[N];
};
__host__ __device__ constexpr double octant_series(double x, bool sine) {
  double term = sine ? x : 1.0, sum = term;
  for (int i = sine ? 2 : 1; i < 24; i += 2) {
    term *= -x * x / (i * (i + 1));
    sum += term;
  }
  return sum;
}
template <int N>
__host__ __device__ constexpr Turns<N> make_turns() {
  Turns<N> t{};
  for (int k = 0; k < N; ++k) {
    // Of the angle's distance from the nearest quarter turn, which is at most an octant.
    const int quarter = (8 * k + N) / (2 * N);
    const double x = 2.0 * 3.14159265358979323846 * (4 * k - quarter * N) / (4.0 * N);
    const double c = octant_series(x, false), s = octant_series(x, true);
    const int q = quarter % 4;
    const double cosine = q == 0 ? c : q == 1 ? -s : q == 2 ? -c : s;
    const double sine = q == 0 ? s : q == 1 ? c : q == 2 ? -s : -c;
    t.re[k] = static_cast<float>(cosine);
    t.im[k] = static_cast<float>(-sine);
  }
  return t;
}
// x e^(-2 pi i k / N); k is a constant once loops are unrolled, and multiples of an octant cost less.
template <int N>
__device__ __forceinline__ float2 turned(float2 x, int k) {
  constexpr Turns<N> kTurns = make_turns<N>();
  const float h = 0.70710678118654752440f;
  k %= N;
  if (k == 0) return x;
  if (4 * k == N) return make_float2(x.y, -x.x);
  if (2 * k == N) return make_float2(-x.x, -x.y);
  if (4 * k == 3 * N) return make_float2(-x.y, x.x);
  if (8 * k == N) return make_float2((x.x + x.y) * h, (x.y - x.x) * h);
  if (8 * k == 3 * N) return make_float2((x.y - x.x) * h, (x.x + x.y) * -h);
  if (8 * k == 5 * N) return make_float2((x.x + x.y) * -h, (x.x - x.y) * h);
  if (8 * k == 7 * N) return make_float2((x.x - x.y) * h, (x.x + x.y) * h);
  return times(x, make_float2(kTurns.re[k], kTurns.im[k]));
}

template <int R>
struct Dft;

template <>
struct Dft<2> {
  static __device__ __forceinline__ void run(float2 (&x)[2]) {
    const float2 a = x[0];
    x[0] = add(a, x[1]);
    x[1] = sub(a, x[1]);
  }
};

template <>
struct Dft<3> {
  static __device__ __forceinline__ void run(float2 (&x)[3]) {
    const float h = 0.86602540378443864676f;
    const float2 sum = add(x[1], x[2]), difference = sub(x[1], x[2]);
    const float2 middle = make_float2(x[0].x - 0.5f * sum.x, x[0].y - 0.5f * sum.y);
    const float2 turned = make_float2(h * difference.x, h * difference.y);
    x[0] = add(x[0], sum);
    x[1] = minus_i(middle, turned);
    x[2] = plus_i(middle, turned);
  }
};

template <>
struct Dft<4> {
  static __device__ __forceinline__ void run(float2 (&x)[4]) {
    const float2 a = add(x[0], x[2]), b = sub(x[0], x[2]), c = add(x[1], x[3]), d = sub(x[1], x[3]);
    x[0] = add(a, c);
    x[1] = minus_i(b, d);
    x[2] = sub(a, c);
    x[3] = plus_i(b, d);
  }
};

template <>
struct Dft<5> {
  static __device__ __forceinline__ void run(float2 (&x)[5]) {
    const float c1 = 0.30901699437494742410f, c2 = -0.80901699437494742410f;
    const float s1 = 0.95105651629515357212f, s2 = 0.58778525229247312917f;
    const float2 a = add(x[1], x[4]), b = add(x[2], x[3]), d = sub(x[1], x[4]), e = sub(x[2], x[3]);
    const float2 p = make_float2(x[0].x + c1 * a.x + c2 * b.x, x[0].y + c1 * a.y + c2 * b.y);
    const float2 q = make_float2(x[0].x + c2 * a.x + c1 * b.x, x[0].y + c2 * a.y + c1 * b.y);
    const float2 u = make_float2(s1 * d.x + s2 * e.x, s1 * d.y + s2 * e.y);
    const float2 v = make_float2(s2 * d.x - s1 * e.x, s2 * d.y - s1 * e.y);
    x[0] = add(x[0], add(a, b));
    x[1] = minus_i(p, u);
    x[4] = plus_i(p, u);
    x[2] = minus_i(q, v);
    x[3] = plus_i(q, v);
  }
};

template <>
struct Dft<8> {
  static __device__ __forceinline__ void run(float2 (&x)[8]) {
    const float h = 0.70710678118654752440f;
    float2 even[4], odd[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      even[i] = add(x[i], x[i + 4]);
      odd[i] = sub(x[i], x[i + 4]);
    }
    odd[1] = make_float2((odd[1].x + odd[1].y) * h, (odd[1].y - odd[1].x) * h);
    odd[2] = make_float2(odd[2].y, -odd[2].x);
    odd[3] = make_float2((odd[3].y - odd[3].x) * h, (odd[3].x + odd[3].y) * -h);
    Dft<4>::run(even);
    Dft<4>::run(odd);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      x[2 * i] = even[i];
      x[2 * i + 1] = odd[i];
    }
  }
};

// A B points as B transforms of A, turned, and A transforms of B.
template <int A, int B>
struct DftProduct {
  static __device__ __forceinline__ void run(float2 (&x)[A * B]) {
    float2 y[B][A];
#pragma unroll
    for (int j = 0; j < B; ++j) {
#pragma unroll
      for (int i = 0; i < A; ++i) y[j][i] = x[j + B * i];
      Dft<A>::run(y[j]);
    }
#pragma unroll
    for (int k = 0; k < A; ++k) {
      float2 z[B];
#pragma unroll
      for (int j = 0; j < B; ++j) z[j] = turned<A * B>(y[j][k], j * k);
      Dft<B>::run(z);
#pragma unroll
      for (int j = 0; j < B; ++j) x[k + A * j] = z[j];
    }
  }
};
template <>
struct Dft<16> : DftProduct<4, 4> {};
template <>
struct Dft<32> : DftProduct<4, 8> {};

// The same of numbers without a common factor, by Good's order of the points: nothing is turned. Inverses:
// B * b = 1 mod A, A * a = 1 mod B.
template <int A, int B, int a, int b>
struct DftCoprime {
  static __device__ __forceinline__ void run(float2 (&x)[A * B]) {
    float2 y[B][A];
#pragma unroll
    for (int j = 0; j < B; ++j) {
#pragma unroll
      for (int i = 0; i < A; ++i) y[j][i] = x[(B * i + A * j) % (A * B)];
      Dft<A>::run(y[j]);
    }
#pragma unroll
    for (int k = 0; k < A; ++k) {
      float2 z[B];
#pragma unroll
      for (int j = 0; j < B; ++j) z[j] = y[j][k];
      Dft<B>::run(z);
#pragma unroll
      for (int j = 0; j < B; ++j) x[(B * b * k + A * a * j) % (A * B)] = z[j];
    }
  }
};
template <>
struct Dft<10> : DftCoprime<2, 5, 3, 1> {};
template <>
struct Dft<20> : DftCoprime<4, 5, 4, 1> {};

// Energies of a real sequence of 2 M points come from Z, the transform of its halved pairs as M complex
// points:
//   X[k] = s + t, X[M-k] = conj(s - t), s = Z[k] + conj Z[M-k], t = -i e^(-2 pi i k / 2M) (Z[k] - conj
//   Z[M-k])
// untangle makes X[k] and conj X[M-k] of a = Z[k], b = Z[M-k] for 0 < k < M, k a constant.
template <int M>
__device__ __forceinline__ void untangle(float2 a, float2 b, int k, float2* low, float2* high) {
  const float2 even = make_float2(a.x + b.x, a.y - b.y), odd = make_float2(a.y + b.y, b.x - a.x);
  const float2 t = turned<2 * M>(odd, k);
  *low = add(even, t);
  *high = sub(even, t);
}

}  // namespace cinefuse::gpu
