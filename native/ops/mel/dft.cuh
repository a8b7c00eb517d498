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

}  // namespace cinefuse::gpu
