#include "optical_flow_simd.h"

#include "../../core/simd.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

// p[at[i]] and p[at[i] + 1], both readable. The masked forms are those whose unused operand GCC does not take
// for uninitialised.
CINEFUSE_INLINE void gather_two(const float* p, VI at, V* first, V* second) {
#if defined(__AVX512F__)
  const __m512i index = reinterpret_cast<__m512i>(at);
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
  const __m512 low = _mm512_castpd_ps(_mm512_mask_i32gather_pd(
      _mm512_setzero_pd(), 0xff, _mm512_maskz_extracti64x4_epi64(0xff, index, 0), p, 4));
  const __m512 high = _mm512_castpd_ps(_mm512_mask_i32gather_pd(
      _mm512_setzero_pd(), 0xff, _mm512_maskz_extracti64x4_epi64(0xff, index, 1), p, 4));
  *first = reinterpret_cast<V>(_mm512_permutex2var_ps(low, even, high));
  *second = reinterpret_cast<V>(_mm512_permutex2var_ps(low, odd, high));
#else
  for (int i = 0; i < W; ++i) {
    (*first)[i] = p[at[i]];
    (*second)[i] = p[at[i] + 1];
  }
#endif
}

CINEFUSE_INLINE V vsqrt(V x) {
#if defined(__AVX512F__)
  return reinterpret_cast<V>(_mm512_maskz_sqrt_ps(0xffff, reinterpret_cast<__m512>(x)));
#else
  for (int i = 0; i < W; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

CINEFUSE_INLINE V ramp(long first) {
  V v = {};
  for (int i = 0; i < W; ++i) v[i] = static_cast<float>(i);
  return v + static_cast<float>(first);
}

void widen(long w, const uint8_t* levels, float* row) {
  for (long x = 0; x < w; ++x) row[x] = static_cast<float>(levels[x]);
}

void halve(long w, const float* a, const float* b, float* row) {
  const long half = w / 2;
  for (long x = 0; x < half; ++x) {
    row[x] = 0.25f * ((a[2 * x] + a[2 * x + 1]) + (b[2 * x] + b[2 * x + 1]));
  }
  if (w % 2) row[half] = 0.5f * (a[w - 1] + b[w - 1]);
}

// sum of weight[|k|] at(i, k) for k in -radius..radius, of some vectors at a time: a row's pointer is read
// once for all of them, and the additions need not wait for each other.
template <int VECTORS, class At>
CINEFUSE_INLINE void weigh(long i, int radius, const float* weight, At at, float* row) {
  V sum[VECTORS];
  for (int v = 0; v < VECTORS; ++v) sum[v] = weight[0] * at(i + v * W, 0);
  for (int k = 1; k <= radius; ++k) {
    for (int v = 0; v < VECTORS; ++v) sum[v] += weight[k] * (at(i + v * W, -k) + at(i + v * W, k));
  }
  for (int v = 0; v < VECTORS; ++v) store(row + i + v * W, sum[v]);
}

template <class At>
CINEFUSE_INLINE void weigh_row(long n, int radius, const float* weight, At at, float* row) {
  long i = 0;
  for (; i + 4 * W <= n; i += 4 * W) weigh<4>(i, radius, weight, at, row);
  for (; i < n; i += W) weigh<1>(i, radius, weight, at, row);
}

void blur_across(long n, int radius, const float* weight, const float* x, bool squares, float* row) {
  const float* const middle = x + radius;
  if (squares) {
    const auto at = [=](long i, int k) {
      const V v = load(middle + i + k);
      return v * v;
    };
    weigh_row(n, radius, weight, at, row);
  } else {
    weigh_row(
        n, radius, weight, [=](long i, int k) { return load(middle + i + k); }, row);
  }
}

void blur_down(long n, int radius, const float* weight, const float* const* rows, float* row) {
  const float* const* const middle = rows + radius;
  weigh_row(
      n, radius, weight, [=](long i, int k) { return load(middle[k] + i); }, row);
}

void subtract(long n, const float* a, const float* b, float* row) {
  for (long i = 0; i < n; i += W) store(row + i, load(a + i) - load(b + i));
}

void contrast(long n, float floor, const float* a, const float* squares, float* row) {
  for (long i = 0; i < n; i += W) store(row + i, load(a + i) / vsqrt(load(squares + i) + floor * floor));
}

// Into [0, last]; NaN, which only padding can hold, becomes 0.
CINEFUSE_INLINE V within(V x, float last) { return vmin(vmax(x, V{}), splat(last)); }

void warp(long n, long w, long h, long stride, long y, const float* first, const float* second,
          const float* u, const float* v, float* mean, float* difference) {
  const float right = static_cast<float>(w - 1), bottom = static_cast<float>(h - 1);
  // The right neighbour is always the next: at the right edge it has all the weight. Of one column it is
  // padding, with none.
  const VI last_x = splat_i(w > 1 ? static_cast<int32_t>(w - 2) : 0),
           last_y = splat_i(static_cast<int32_t>(h - 1));
  for (long i = 0; i < n; i += W) {
    const V x = within(ramp(i) + load(u + i), right);
    const V z = within(static_cast<float>(y) + load(v + i), bottom);
    VI x0 = __builtin_convertvector(x, VI);
    x0 = x0 < last_x ? x0 : last_x;
    const VI y0 = __builtin_convertvector(z, VI), y1 = y0 < last_y ? y0 + 1 : y0;
    const V fx = x - __builtin_convertvector(x0, V), fy = z - __builtin_convertvector(y0, V);
    V a, b, c, d;
    gather_two(second, y0 * static_cast<int32_t>(stride) + x0, &a, &b);
    gather_two(second, y1 * static_cast<int32_t>(stride) + x0, &c, &d);
    const V upper = a + fx * (b - a), lower = c + fx * (d - c);
    const V warped = upper + fy * (lower - upper), own = load(first + i);
    store(mean + i, 0.5f * (own + warped));
    store(difference + i, warped - own);
  }
}

void products(long n, long w, long h, long y, float robust, float regularization, const float* const* mean,
              const float* difference, const float* u, const float* v, float* const* rows) {
  const float right = static_cast<float>(w - 1), bottom = static_cast<float>(h - 1);
  const float near = 8.f / 12.f, far = 1.f / 12.f, squared = robust * robust;
  for (long i = 0; i < n; i += W) {
    const float* const m = mean[2] + i;
    const V gx = near * (load(m + 1) - load(m - 1)) - far * (load(m + 2) - load(m - 2));
    const V gy =
        near * (load(mean[3] + i) - load(mean[1] + i)) - far * (load(mean[4] + i) - load(mean[0] + i));
    const V p = load(u + i), q = load(v + i), r = load(difference + i);
    const V x = ramp(i) + p, z = static_cast<float>(y) + q;
    const V outside = vmax(vmax(-x, x - right), vmax(-z, z - bottom));
    const V weight = vmin(vmax(1.f - outside, V{}), splat(1.f)) * (squared / (squared + r * r));
    const V a = weight * gx, b = weight * gy, k = gx * p + gy * q - r;
    store(rows[0] + i, a * gx);
    store(rows[1] + i, a * gy);
    store(rows[2] + i, b * gy);
    store(rows[3] + i, a * k + regularization * p);
    store(rows[4] + i, b * k + regularization * q);
  }
}

void solve(long n, float regularization, const float* const* sums, float* u, float* v) {
  for (long i = 0; i < n; i += W) {
    const V a = load(sums[0] + i) + regularization, b = load(sums[1] + i);
    const V c = load(sums[2] + i) + regularization;
    const V p = load(sums[3] + i), q = load(sums[4] + i);
    const V scale = 1.f / (a * c - b * b);
    store(u + i, (c * p - b * q) * scale);
    store(v + i, (a * q - b * p) * scale);
  }
}

struct Three {
  V low, middle, high;
};

CINEFUSE_INLINE Three sorted(V a, V b, V c) {
  const V low = vmin(a, b), high = vmax(a, b);
  return {vmin(low, c), vmax(low, vmin(high, c)), vmax(high, c)};
}

CINEFUSE_INLINE V middle_of(V a, V b, V c) { return vmax(vmin(a, b), vmin(vmax(a, b), c)); }

// The median of nine is that of the largest low, the middle middle and the smallest high of three sorted
// columns.
void median(long n, const float* const* rows, float* row) {
  for (long i = 0; i < n; i += W) {
    Three column[3];
    for (int k = 0; k < 3; ++k) {
      const long at = i + k - 1;
      column[k] = sorted(load(rows[0] + at), load(rows[1] + at), load(rows[2] + at));
    }
    const V low = vmax(vmax(column[0].low, column[1].low), column[2].low);
    const V high = vmin(vmin(column[0].high, column[1].high), column[2].high);
    store(row + i, middle_of(low, middle_of(column[0].middle, column[1].middle, column[2].middle), high));
  }
}

void grow(long w, long coarse_w, const float* near, const float* far, float* row) {
  const auto at = [&](long x) { return 1.5f * near[x] + 0.5f * far[x]; };
  for (long k = 0; 2 * k < w; ++k) {
    const float own = at(k), before = k > 0 ? at(k - 1) : own, after = k + 1 < coarse_w ? at(k + 1) : own;
    row[2 * k] = 0.75f * own + 0.25f * before;
    if (2 * k + 1 < w) row[2 * k + 1] = 0.75f * own + 0.25f * after;
  }
}

void interleave(long w, const float* u, const float* v, float* flow) {
  for (long x = 0; x < w; ++x) {
    flow[2 * x] = u[x];
    flow[2 * x + 1] = v[x];
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(OpticalFlowSimd, optical_flow_simd) = {widen,    halve,    blur_across, blur_down,
                                                            subtract, contrast, warp,        products,
                                                            solve,    median,   grow,        interleave};
}
