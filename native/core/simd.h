// Vectors of floats for *_simd.cc units. Each such file is compiled once per instruction set
// (native/sources.json, "simd"), with CINEFUSE_ISA = baseline | avx2 | avx512 and that set's compiler flags.
// Rules of these units: include only this header and the operator's own *_simd.h; no STL and no inline
// function with external linkage, or the linker might keep the AVX-512 copy of a shared function for every
// CPU. Everything lives in an anonymous namespace; what leaves is one table of functions,
// CINEFUSE_SIMD_TABLE(name).
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__)
#define CINEFUSE_W 16
#elif defined(__AVX2__)
#define CINEFUSE_W 8
#else
#define CINEFUSE_W 4
#endif

#define CINEFUSE_JOIN2(a, b) a##_##b
#define CINEFUSE_JOIN(a, b) CINEFUSE_JOIN2(a, b)
// The name of this unit's table: CINEFUSE_SIMD_TABLE(mel_simd) is mel_simd_avx2 in the AVX2 unit.
#define CINEFUSE_SIMD_TABLE(name) CINEFUSE_JOIN(name, CINEFUSE_ISA)

// Defines the table: CINEFUSE_SIMD_DEFINE(MelSimd, mel_simd) = {...};
#define CINEFUSE_SIMD_DEFINE(Type, name)       \
  extern const Type CINEFUSE_SIMD_TABLE(name); \
  const Type CINEFUSE_SIMD_TABLE(name)

#define CINEFUSE_INLINE inline __attribute__((always_inline))

namespace {

constexpr int W = CINEFUSE_W;  // floats in a vector
typedef float V __attribute__((vector_size(CINEFUSE_W * 4), aligned(4), may_alias));
typedef int32_t VI __attribute__((vector_size(CINEFUSE_W * 4), aligned(4), may_alias));

CINEFUSE_INLINE V load(const float* p) { return *reinterpret_cast<const V*>(p); }
CINEFUSE_INLINE void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }
CINEFUSE_INLINE V splat(float x) { return x - V{}; }  // x + 0 would turn -0 into 0, so it costs an addition
CINEFUSE_INLINE VI splat_i(int32_t x) { return VI{} + x; }
CINEFUSE_INLINE V select(VI mask, V yes, V no) { return mask ? yes : no; }
CINEFUSE_INLINE V vmax(V a, V b) { return a > b ? a : b; }
CINEFUSE_INLINE V vmin(V a, V b) { return a < b ? a : b; }
CINEFUSE_INLINE V vabs(V a) { return reinterpret_cast<V>(reinterpret_cast<VI>(a) & splat_i(0x7fffffff)); }

// Partial vectors at the end of a row; n in [0, W). Unread lanes are `fill`.
CINEFUSE_INLINE V load_tail(const float* p, int n, float fill = 0.f) {
  V v = splat(fill);
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
CINEFUSE_INLINE void store_tail(float* p, V v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

CINEFUSE_INLINE float hsum(V v) {
  float s[W];
  store(s, v);
  for (int step = W / 2; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) s[i] += s[i + step];
  }
  return s[0];
}
CINEFUSE_INLINE float hmax(V v) {
  float s[W];
  store(s, v);
  for (int step = W / 2; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) s[i] = s[i] > s[i + step] ? s[i] : s[i + step];
  }
  return s[0];
}

// e^x. Relative error below 1.2e-7 on [-87, 88.7]; 0 below -104 (subnormals are flushed), +inf above 88.73;
// NaN stays NaN. Cody-Waite reduction by ln 2, then the Taylor polynomial of degree 7 on [-ln2/2, ln2/2].
CINEFUSE_INLINE V vexp(V x) {
  const V clamped = vmin(vmax(x, splat(-104.f)), splat(89.f));
  const V magic = splat(12582912.f);  // 1.5 * 2^23: adding it rounds to the nearest integer
  const V t = clamped * splat(1.44269504088896341f) + magic;
  const V n = t - magic;
  V r = clamped - n * splat(0.693359375f);
  r = r - n * splat(-2.12194440e-4f);
  V p = splat(1.f / 5040.f);
  p = p * r + splat(1.f / 720.f);
  p = p * r + splat(1.f / 120.f);
  p = p * r + splat(1.f / 24.f);
  p = p * r + splat(1.f / 6.f);
  p = p * r + splat(0.5f);
  p = p * r + splat(1.f);
  p = p * r + splat(1.f);
  // 2^n in two factors, so that n = 128 and n < -126 do not overflow the exponent field.
  const VI ni = reinterpret_cast<VI>(t) - splat_i(0x4b400000);
  const VI n1 = ni >> 1, n2 = ni - n1;
  const V s1 = reinterpret_cast<V>((n1 + splat_i(127)) << 23);
  const V s2 = reinterpret_cast<V>((n2 + splat_i(127)) << 23);
  const V y = p * s1 * s2;
  return select(x != x, x, y);
}

// ln x for normal positive x. Absolute error below 1.5e-7 * max(1, |ln x|); 0 and subnormals give ln of the
// smallest normal number (-87.34), +inf about 88.72, negative numbers and NaN give NaN.
CINEFUSE_INLINE V vlog(V x) {
  const V safe = vmax(x, splat(1.17549435e-38f));
  const VI bits = reinterpret_cast<VI>(safe);
  // Mantissa in [sqrt(1/2), sqrt(2)).
  const VI e = (bits - splat_i(0x3f3504f3)) >> 23;
  const V m = reinterpret_cast<V>(bits - (e << 23));
  const V k = __builtin_convertvector(e, V);
  const V f = m - splat(1.f);
  const V s = f / (splat(2.f) + f);
  const V z = s * s;
  // ln(1+f) = 2s + s^3 * (2/3 + 2/5 z + ...) = f - s * (f - R)
  V r = splat(0.22222222f);
  r = r * z + splat(0.28571429f);
  r = r * z + splat(0.4f);
  r = r * z + splat(0.66666667f);
  r = r * z;
  const V h = splat(0.5f) * f * f;
  const V low = k * splat(-2.12194440e-4f);
  const V y = k * splat(0.693359375f) + (f - (h - (s * (h + r) + low)));
  return select((x != x) | (x < splat(0.f)), splat(__builtin_nanf("")), y);
}

// tanh x, absolute error below 1e-6 and relative below 2e-6: odd polynomial near 0, (1-e)/(1+e) beyond.
CINEFUSE_INLINE V vtanh(V x) {
  const V a = vabs(x);
  const V e = vexp(splat(-2.f) * a);
  const V big = (splat(1.f) - e) / (splat(1.f) + e);
  const V z = x * x;
  V p = splat(-5.70498872745e-3f);
  p = p * z + splat(2.06390887954e-2f);
  p = p * z + splat(-5.37397155531e-2f);
  p = p * z + splat(1.33314422036e-1f);
  p = p * z + splat(-3.33332819422e-1f);
  const V small = x + x * z * p;
  const V signed_big = select(x < splat(0.f), -big, big);
  return select(x != x, x, select(a < splat(0.625f), small, signed_big));
}

CINEFUSE_INLINE V vsigmoid(V x) {
  const V e = vexp(-vabs(x));
  const V d = splat(1.f) / (splat(1.f) + e);
  return select(x < splat(0.f), e * d, d);
}

}  // namespace
