// Butterflies and stages of the transform of W frames at once; included by mel_simd.cc only.
#pragma once
#include "../../core/simd.h"
#include "mel_simd.h"

namespace {

using cinefuse::FftTables;
using cinefuse::kMaxRadix;

struct C {
  V re, im;
};
CINEFUSE_INLINE C load_c(const float* p) { return {load(p), load(p + W)}; }
CINEFUSE_INLINE void store_c(float* p, C a) {
  store(p, a.re);
  store(p + W, a.im);
}
CINEFUSE_INLINE C operator+(C a, C b) { return {a.re + b.re, a.im + b.im}; }
CINEFUSE_INLINE C operator-(C a, C b) { return {a.re - b.re, a.im - b.im}; }
CINEFUSE_INLINE C times_minus_i(C a) { return {a.im, -a.re}; }
// a - i b and a + i b without forming i b
CINEFUSE_INLINE C minus_i(C a, C b) { return {a.re + b.im, a.im - b.re}; }
CINEFUSE_INLINE C plus_i(C a, C b) { return {a.re - b.im, a.im + b.re}; }
CINEFUSE_INLINE C times(C a, float re, float im) {
  return {a.re * splat(re) - a.im * splat(im), a.re * splat(im) + a.im * splat(re)};
}

// dft<R>(x): x becomes its own transform of R points, e^(-2 pi i) convention, natural order.
template <int R>
struct Dft;

template <>
struct Dft<2> {
  static CINEFUSE_INLINE void run(C* x) {
    const C a = x[0];
    x[0] = a + x[1];
    x[1] = a - x[1];
  }
};

template <>
struct Dft<3> {
  static CINEFUSE_INLINE void run(C* x) {
    const C sum = x[1] + x[2], difference = x[1] - x[2];
    const C middle = {x[0].re - splat(0.5f) * sum.re, x[0].im - splat(0.5f) * sum.im};
    const V s = splat(0.86602540378443864676f);
    const C turned = {difference.re * s, difference.im * s};
    x[0] = x[0] + sum;
    x[1] = minus_i(middle, turned);
    x[2] = plus_i(middle, turned);
  }
};

template <>
struct Dft<4> {
  static CINEFUSE_INLINE void run(C* x) {
    const C a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = x[1] - x[3];
    x[0] = a + c;
    x[1] = minus_i(b, d);
    x[2] = a - c;
    x[3] = plus_i(b, d);
  }
};

template <>
struct Dft<5> {
  static CINEFUSE_INLINE void run(C* x) {
    const V c1 = splat(0.30901699437494742410f), c2 = splat(-0.80901699437494742410f);
    const V s1 = splat(0.95105651629515357212f), s2 = splat(0.58778525229247312917f);
    const C a = x[1] + x[4], b = x[2] + x[3], d = x[1] - x[4], e = x[2] - x[3];
    const C p = {x[0].re + c1 * a.re + c2 * b.re, x[0].im + c1 * a.im + c2 * b.im};
    const C q = {x[0].re + c2 * a.re + c1 * b.re, x[0].im + c2 * a.im + c1 * b.im};
    const C u = {s1 * d.re + s2 * e.re, s1 * d.im + s2 * e.im};
    const C v = {s2 * d.re - s1 * e.re, s2 * d.im - s1 * e.im};
    x[0] = x[0] + (a + b);
    x[1] = minus_i(p, u);
    x[4] = plus_i(p, u);
    x[2] = minus_i(q, v);
    x[3] = plus_i(q, v);
  }
};

template <>
struct Dft<8> {
  static CINEFUSE_INLINE void run(C* x) {
    const V h = splat(0.70710678118654752440f);
    C even[4], odd[4];
    for (int i = 0; i < 4; ++i) {
      even[i] = x[i] + x[i + 4];
      odd[i] = x[i] - x[i + 4];
    }
    odd[1] = {(odd[1].re + odd[1].im) * h, (odd[1].im - odd[1].re) * h};
    odd[2] = times_minus_i(odd[2]);
    odd[3] = {(odd[3].im - odd[3].re) * h, (odd[3].re + odd[3].im) * -h};
    Dft<4>::run(even);
    Dft<4>::run(odd);
    for (int i = 0; i < 4; ++i) {
      x[2 * i] = even[i];
      x[2 * i + 1] = odd[i];
    }
  }
};

// One butterfly: R points `in_step` floats apart, transformed, times the twiddles, `out_step` floats apart.
template <int R, bool Twiddled>
CINEFUSE_INLINE void butterfly(const float* in, long in_step, float* out, long out_step, const float* tw) {
  C x[R];
  for (int i = 0; i < R; ++i) x[i] = load_c(in + i * in_step);
  Dft<R>::run(x);
  store_c(out, x[0]);
  for (int i = 1; i < R; ++i) {
    store_c(out + i * out_step, Twiddled ? times(x[i], tw[2 * i - 2], tw[2 * i - 1]) : x[i]);
  }
}

// A stage in place: `blocks` neighbouring transforms of length l, whose R parts are `part` floats apart.
template <int R>
void stage(long blocks, long l, long part, float* z, const float* twiddles) {
  const long m = l / R;
  for (long b = 0; b < blocks; ++b, z += l * 2 * W) {
    if (m == 1) {
      butterfly<R, false>(z, part, z, part, nullptr);
      continue;
    }
    const float* tw = twiddles;
    for (long j = 0; j < m; ++j, tw += 2 * (R - 1)) {
      float* p = z + j * 2 * W;
      butterfly<R, true>(p, part, p, part, tw);
    }
  }
}

// Any odd radix r <= kMaxRadix, from the sums and differences of the points r - i and i.
void stage_any(int r, long blocks, long l, long part, float* z, const float* twiddles, const float* roots) {
  const long m = l / r;
  const int half = r / 2;
  C sum[kMaxRadix / 2 + 1], difference[kMaxRadix / 2 + 1];
  for (long b = 0; b < blocks; ++b, z += l * 2 * W) {
    for (long j = 0; j < m; ++j) {
      float* p = z + j * 2 * W;
      const float* tw = twiddles + j * 2 * (r - 1);
      const C first = load_c(p);
      C total = first;
      for (int i = 1; i <= half; ++i) {
        const C x = load_c(p + i * part), y = load_c(p + (r - i) * part);
        sum[i] = x + y;
        difference[i] = x - y;
        total = total + sum[i];
      }
      store_c(p, total);
      for (int k = 1; k <= half; ++k) {
        C even = first, odd = {V{}, V{}};
        int at = 0;  // i * k mod r
        for (int i = 1; i <= half; ++i) {
          at += k;
          if (at >= r) at -= r;
          const V c = splat(roots[2 * at]), s = splat(roots[2 * at + 1]);  // s = -sin
          even.re += c * sum[i].re;
          even.im += c * sum[i].im;
          odd.re -= s * difference[i].re;
          odd.im -= s * difference[i].im;
        }
        C low = minus_i(even, odd), high = plus_i(even, odd);
        if (m > 1) {
          low = times(low, tw[2 * k - 2], tw[2 * k - 1]);
          high = times(high, tw[2 * (r - k) - 2], tw[2 * (r - k) - 1]);
        }
        store_c(p + k * part, low);
        store_c(p + (r - k) * part, high);
      }
    }
  }
}

void run_stage(const FftTables& t, int s, long blocks, long l, long part, float* z) {
  switch (t.radix[s]) {
    case 2:
      return stage<2>(blocks, l, part, z, t.twiddles[s]);
    case 3:
      return stage<3>(blocks, l, part, z, t.twiddles[s]);
    case 4:
      return stage<4>(blocks, l, part, z, t.twiddles[s]);
    case 5:
      return stage<5>(blocks, l, part, z, t.twiddles[s]);
    case 8:
      return stage<8>(blocks, l, part, z, t.twiddles[s]);
    default:
      return stage_any(t.radix[s], blocks, l, part, z, t.twiddles[s], t.roots[s]);
  }
}

// Stages s and later of one block of length l. What fits the first cache goes stage by stage, more by parts.
void fft_from(const FftTables& t, int s, long l, float* z) {
  constexpr long kCached = 24 * 1024 / (2 * W * 4);
  if (l <= kCached) {
    for (long n = l; s < t.stages; n /= t.radix[s], ++s) run_stage(t, s, l / n, n, n / t.radix[s] * 2 * W, z);
    return;
  }
  const long m = l / t.radix[s];
  run_stage(t, s, 1, l, m * 2 * W, z);
  if (s + 1 == t.stages) return;
  for (int q = 0; q < t.radix[s]; ++q) fft_from(t, s + 1, m, z + q * m * 2 * W);
}

// What follows the first stage.
void fft_rest(const FftTables& t, float* z) {
  if (t.stages < 2) return;
  for (int q = 0; q < t.radix[0]; ++q) {
    fft_from(t, 1, t.n / t.radix[0], z + static_cast<long>(q) * t.block_vectors * W);
  }
}

void fft(const FftTables& t, float* z) {
  if (t.stages == 0) return;
  run_stage(t, 0, 1, t.n, static_cast<long>(t.block_vectors) * W, z);
  fft_rest(t, z);
}

}  // namespace
