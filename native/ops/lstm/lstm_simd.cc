#include "lstm_simd.h"

#include "../../core/simd.h"

namespace {

// A vector at i of a row of n, or what is left of one.
struct Whole {
  CINEFUSE_INLINE V read(const float* p) const { return load(p); }
  CINEFUSE_INLINE void write(float* p, V v) const { store(p, v); }
};
struct Rest {
  int n;
  CINEFUSE_INLINE V read(const float* p) const { return load_tail(p, n); }
  CINEFUSE_INLINE void write(float* p, V v) const { store_tail(p, v, n); }
};

// e^x = scale · (1 + q) for |x| <= 87, q of the same relative accuracy as x where x is small: by ln 2, then
// Taylor's polynomial on [-ln2/2, ln2/2]. NaN shows in q.
CINEFUSE_INLINE void split_exp(V x, V& scale, V& q) {
  const V magic = splat(12582912.f);  // 1.5 * 2^23: adding it rounds to the nearest integer
  const V t = x * splat(1.44269504088896341f) + magic;
  const V n = t - magic;
  const V r = (x - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f);
  V p = splat(1.f / 5040.f);
  p = p * r + splat(1.f / 720.f);
  p = p * r + splat(1.f / 120.f);
  p = p * r + splat(1.f / 24.f);
  p = p * r + splat(1.f / 6.f);
  p = p * r + splat(0.5f);
  q = p * (r * r) + r;
  scale = reinterpret_cast<V>((reinterpret_cast<VI>(t) - splat_i(0x4b400000 - 127)) << 23);
}

// x within [-most, most]; NaN stays: a comparison with it takes the second operand.
CINEFUSE_INLINE V bounded(V x, float most) { return vmin(splat(most), vmax(splat(-most), x)); }

CINEFUSE_INLINE V gate(V x) {
  V scale, q;
  split_exp(bounded(-x, 87.f), scale, q);
  return splat(1.f) / (splat(1.f) + (scale + scale * q));
}

// (e^2x - 1) / (e^2x + 1): e^2x - 1 = (scale - 1) + scale · q loses nothing near 0, where scale is 1. Beyond
// 15 it is ±1 to the last bit. The same relative accuracy everywhere, without a second formula.
CINEFUSE_INLINE V cell_tanh(V x) {
  V scale, q;
  split_exp(bounded(x + x, 30.f), scale, q);
  const V less_one = (scale - splat(1.f)) + scale * q;
  return less_one / (less_one + splat(2.f));
}

template <class Lanes>
CINEFUSE_INLINE void step_at(Lanes lanes, long n, long u, const float* a, float* c, float* h, float* y,
                             float* saved) {
  const V i = gate(lanes.read(a + u)), f = gate(lanes.read(a + n + u));
  const V g = cell_tanh(lanes.read(a + 2 * n + u)), o = gate(lanes.read(a + 3 * n + u));
  const V cell = f * lanes.read(c + u) + i * g;
  const V out = o * cell_tanh(cell);
  lanes.write(c + u, cell);
  lanes.write(h + u, out);
  lanes.write(y + u, out);
  if (!saved) return;
  lanes.write(saved + u, i);
  lanes.write(saved + n + u, f);
  lanes.write(saved + 2 * n + u, g);
  lanes.write(saved + 3 * n + u, o);
  lanes.write(saved + 4 * n + u, cell);
}

void step(long n, const float* a, float* c, float* h, float* y, float* saved) {
  long u = 0;
  for (; u + W <= n; u += W) step_at(Whole{}, n, u, a, c, h, y, saved);
  if (u < n) step_at(Rest{static_cast<int>(n - u)}, n, u, a, c, h, y, saved);
}

template <class Lanes>
CINEFUSE_INLINE void gradients_at(Lanes lanes, long n, long u, const float* saved, const float* c_before,
                                  const float* dy, const float* dh, float* dc, float* da) {
  const V one = splat(1.f);
  const V i = lanes.read(saved + u), f = lanes.read(saved + n + u), g = lanes.read(saved + 2 * n + u),
          o = lanes.read(saved + 3 * n + u), t = cell_tanh(lanes.read(saved + 4 * n + u));
  V out = lanes.read(dh + u);
  if (dy) out += lanes.read(dy + u);
  const V cell = lanes.read(dc + u) + out * o * ((one - t) * (one + t));
  const V before = c_before ? lanes.read(c_before + u) : V{};
  lanes.write(da + u, cell * g * (i * (one - i)));
  lanes.write(da + n + u, cell * before * (f * (one - f)));
  lanes.write(da + 2 * n + u, cell * i * ((one - g) * (one + g)));
  lanes.write(da + 3 * n + u, out * t * (o * (one - o)));
  lanes.write(dc + u, cell * f);
}

void gradients(long n, const float* saved, const float* c_before, const float* dy, const float* dh, float* dc,
               float* da) {
  long u = 0;
  for (; u + W <= n; u += W) gradients_at(Whole{}, n, u, saved, c_before, dy, dh, dc, da);
  if (u < n) gradients_at(Rest{static_cast<int>(n - u)}, n, u, saved, c_before, dy, dh, dc, da);
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(LstmSimd, lstm_simd) = {step, gradients};
}
