#include "frames_simd.h"

#include "../../core/simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header
#endif
#endif

namespace {

using cinefuse::YuvCoefficients;

typedef float V4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint8_t B __attribute__((vector_size(CINEFUSE_W), aligned(1), may_alias));
typedef int16_t H __attribute__((vector_size(CINEFUSE_W * 2), aligned(2), may_alias));

// W small integers as int32. (GCC 12 takes __builtin_convertvector apart into scalars.)
CINEFUSE_INLINE VI widen(const uint8_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<VI>(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__AVX2__)
  return reinterpret_cast<VI>(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#elif defined(__SSE2__)
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  const __m128i zero = _mm_setzero_si128(), x = _mm_cvtsi32_si128(four);
  return reinterpret_cast<VI>(_mm_unpacklo_epi16(_mm_unpacklo_epi8(x, zero), zero));
#else
  return __builtin_convertvector(*reinterpret_cast<const B*>(p), VI);
#endif
}
CINEFUSE_INLINE VI widen(const int16_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<VI>(_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#elif defined(__AVX2__)
  return reinterpret_cast<VI>(_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__SSE2__)
  const __m128i x = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return reinterpret_cast<VI>(_mm_srai_epi32(_mm_unpacklo_epi16(x, x), 16));
#else
  return __builtin_convertvector(*reinterpret_cast<const H*>(p), VI);
#endif
}
CINEFUSE_INLINE V to_float(VI v) { return __builtin_convertvector(v, V); }

// 0 <= v <= 255. (GCC makes a comparison and a blend of each of simd.h's vmin and vmax in AVX-512.)
CINEFUSE_INLINE V clamp_level(V v) {
#if defined(__AVX512F__)
  return _mm512_min_ps(_mm512_max_ps(v, _mm512_setzero_ps()), _mm512_set1_ps(255.f));
#else
  return vmin(vmax(v, V{}), splat(255.f));
#endif
}

// out = Σ_t weights[t] * rows[t], four vectors at a time: the sums stay in registers.
void gather_u8(const uint8_t* const* rows, const float* weights, int taps, long n, float* out) {
  for (long j = 0; j < n; j += 4 * W) {
    V a0 = V{}, a1 = V{}, a2 = V{}, a3 = V{};
    for (int t = 0; t < taps; ++t) {
      const uint8_t* row = rows[t] + j;
      const V w = splat(weights[t]);
      a0 += w * to_float(widen(row));
      a1 += w * to_float(widen(row + W));
      a2 += w * to_float(widen(row + 2 * W));
      a3 += w * to_float(widen(row + 3 * W));
    }
    store(out + j, a0);
    store(out + j + W, a1);
    store(out + j + 2 * W, a2);
    store(out + j + 3 * W, a3);
  }
}

// W pixels of 4 floats R, G, B, 0, each W floats after the other (the groups of rows that contract_rows
// takes).
CINEFUSE_INLINE void store_pixels(float* out, V r, V g, V b) {
#if defined(__AVX512F__)
  const __m512 zero = _mm512_setzero_ps();
  const __m512 rg_lo = _mm512_unpacklo_ps(r, g), rg_hi = _mm512_unpackhi_ps(r, g);
  const __m512 b_lo = _mm512_unpacklo_ps(b, zero), b_hi = _mm512_unpackhi_ps(b, zero);
  // p[k]: pixels k, k + 4, k + 8, k + 12
  const __m512 p[4] = {_mm512_shuffle_ps(rg_lo, b_lo, 0x44), _mm512_shuffle_ps(rg_lo, b_lo, 0xee),
                       _mm512_shuffle_ps(rg_hi, b_hi, 0x44), _mm512_shuffle_ps(rg_hi, b_hi, 0xee)};
  for (int k = 0; k < 4; ++k) {
    _mm_storeu_ps(out + k * W, _mm512_castps512_ps128(p[k]));
    _mm_storeu_ps(out + (k + 4) * W, _mm512_extractf32x4_ps(p[k], 1));
    _mm_storeu_ps(out + (k + 8) * W, _mm512_extractf32x4_ps(p[k], 2));
    _mm_storeu_ps(out + (k + 12) * W, _mm512_extractf32x4_ps(p[k], 3));
  }
#elif defined(__AVX2__)
  const __m256 zero = _mm256_setzero_ps();
  const __m256 rg_lo = _mm256_unpacklo_ps(r, g), rg_hi = _mm256_unpackhi_ps(r, g);
  const __m256 b_lo = _mm256_unpacklo_ps(b, zero), b_hi = _mm256_unpackhi_ps(b, zero);
  const __m256 p[4] = {_mm256_shuffle_ps(rg_lo, b_lo, 0x44), _mm256_shuffle_ps(rg_lo, b_lo, 0xee),
                       _mm256_shuffle_ps(rg_hi, b_hi, 0x44), _mm256_shuffle_ps(rg_hi, b_hi, 0xee)};
  for (int k = 0; k < 4; ++k) {
    _mm_storeu_ps(out + k * W, _mm256_castps256_ps128(p[k]));
    _mm_storeu_ps(out + (k + 4) * W, _mm256_extractf128_ps(p[k], 1));
  }
#elif defined(__SSE2__)
  const __m128 zero = _mm_setzero_ps();
  const __m128 rg_lo = _mm_unpacklo_ps(r, g), rg_hi = _mm_unpackhi_ps(r, g);
  const __m128 b_lo = _mm_unpacklo_ps(b, zero), b_hi = _mm_unpackhi_ps(b, zero);
  _mm_storeu_ps(out, _mm_movelh_ps(rg_lo, b_lo));
  _mm_storeu_ps(out + 4, _mm_movehl_ps(b_lo, rg_lo));
  _mm_storeu_ps(out + 8, _mm_movelh_ps(rg_hi, b_hi));
  _mm_storeu_ps(out + 12, _mm_movehl_ps(b_hi, rg_hi));
#else
  for (int i = 0; i < W; ++i) *reinterpret_cast<V4*>(out + W * i) = V4{r[i], g[i], b[i], 0.f};
#endif
}

void gather_planes(const float* const* rows, long plane, const float* weights, int taps, long n, float* out) {
  for (long j = 0; j < n; j += W) {
    V r = V{}, g = V{}, b = V{};
    for (int t = 0; t < taps; ++t) {
      const float* row = rows[t] + j;
      const V w = splat(weights[t]);
      r += w * load(row);
      g += w * load(row + plane);
      b += w * load(row + 2 * plane);
    }
    store_pixels(out + W * j, r, g, b);
  }
}

void contract(const float* row, long from, const int32_t* first, const int32_t* count, const float* weights,
              int taps, long n, const float* scale, const float* shift, float* const* planes) {
  const V4 scales = {scale[0], scale[1], scale[2], 0.f}, shifts = {shift[0], shift[1], shift[2], 0.f};
  for (long i = 0; i < n; ++i) {
    const float* p = row + (first[i] - from) * 3;
    const float* w = weights + i * taps;
    V4 a = V4{}, b = V4{};
    int t = 0;
    for (; t + 2 <= count[i]; t += 2) {
      a += *reinterpret_cast<const V4*>(p + 3 * t) * w[t];
      b += *reinterpret_cast<const V4*>(p + 3 * t + 3) * w[t + 1];
    }
    if (t < count[i]) a += *reinterpret_cast<const V4*>(p + 3 * t) * w[t];
    const V4 y = (a + b) * scales + shifts;
    planes[0][i] = y[0];
    planes[1][i] = y[1];
    planes[2][i] = y[2];
  }
}

void contract_rows(const float* group, long from, const int32_t* first, const int32_t* count,
                   const float* weights, int taps, long n, const float* scale, const float* shift, int rows,
                   float* const* planes) {
  V scales, shifts;
  for (int k = 0; k < W; ++k) {
    scales[k] = k % 4 < 3 ? scale[k % 4] : 0.f;
    shifts[k] = k % 4 < 3 ? shift[k % 4] : 0.f;
  }
  for (long i = 0; i < n; ++i) {
    const float* p = group + (first[i] - from) * W;
    const float* w = weights + i * taps;
    V a = V{}, b = V{};
    int t = 0;
    for (; t + 2 <= count[i]; t += 2) {
      a += load(p + t * W) * splat(w[t]);
      b += load(p + (t + 1) * W) * splat(w[t + 1]);
    }
    if (t < count[i]) a += load(p + t * W) * splat(w[t]);
    float y[W];
    store(y, (a + b) * scales + shifts);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < 3; ++c) planes[3 * r + c][i] = y[4 * r + c];
    }
  }
}

typedef uint32_t Two __attribute__((aligned(2), may_alias));  // two int16 that lie side by side

CINEFUSE_INLINE uint32_t two(int a, int b) {
  return (static_cast<uint32_t>(a) & 0xffffu) | static_cast<uint32_t>(b) << 16;
}

// Each loop body is contiguous in and out, so that the compiler makes vectors of it.
template <int Step>
CINEFUSE_INLINE void chroma_by(const uint8_t* row0, const uint8_t* row1, int wy0, int wy1, long samples,
                               int siting, long first, long n, int16_t* out) {
  constexpr long kChunk = 256;
  int16_t mixed[kChunk + 2];  // samples first - 1 ... first + chunk, 4 (chroma - 128) each
  int16_t* m = mixed + 1;
  for (long begin = 0; begin < n; begin += kChunk) {
    const long count = n - begin < kChunk ? n - begin : kChunk, k0 = first + begin;
    const uint8_t *a = row0 + k0 * Step, *b = row1 + k0 * Step;
    for (long k = 0; k < count; ++k) m[k] = static_cast<int16_t>(wy0 * a[k * Step] + wy1 * b[k * Step] - 512);
    Two* to = reinterpret_cast<Two*>(out + 2 * begin);
    if (siting == 0) {
      for (long k = 0; k < count; ++k) to[k] = two(4 * m[k], 4 * m[k]);
      continue;
    }
    const long before = k0 > 0 ? -1 : 0, after = k0 + count < samples ? count : count - 1;
    m[-1] = static_cast<int16_t>(wy0 * a[before * Step] + wy1 * b[before * Step] - 512);
    m[count] = static_cast<int16_t>(wy0 * a[after * Step] + wy1 * b[after * Step] - 512);
    if (siting == 1) {
      for (long k = 0; k < count; ++k) to[k] = two(4 * m[k], 2 * (m[k] + m[k + 1]));
    } else {
      for (long k = 0; k < count; ++k) to[k] = two(3 * m[k] + m[k - 1], 3 * m[k] + m[k + 1]);
    }
  }
}

void chroma(const uint8_t* row0, const uint8_t* row1, int wy0, int wy1, int step, long samples, int siting,
            long first, long n, int16_t* out) {
  if (step == 1) return chroma_by<1>(row0, row1, wy0, wy1, samples, siting, first, n, out);
  chroma_by<2>(row0, row1, wy0, wy1, samples, siting, first, n, out);
}

void yuv_terms(const int16_t* u, const int16_t* v, const YuvCoefficients* k, long n, float* out, long plane) {
  const V shift = splat(k->y_shift), rv = splat(k->rv), gu = splat(k->gu), gv = splat(k->gv),
          bu = splat(k->bu);
  for (long j = 0; j < n; j += W) {
    const V cb = to_float(widen(u + j)), cr = to_float(widen(v + j));
    store(out + j, shift + cr * rv);
    store(out + j + plane, shift + cb * gu + cr * gv);
    store(out + j + 2 * plane, shift + cb * bu);
  }
}

// a a b b c c ... of the lower and of the upper half of v.
CINEFUSE_INLINE void twice(V v, V* low, V* high) {
#if defined(__AVX512F__)
  *low = _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), v);
  *high =
      _mm512_permutexvar_ps(_mm512_setr_epi32(8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15), v);
#elif defined(__AVX2__)
  *low = _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
  *high = _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7));
#elif defined(__SSE2__)
  *low = _mm_unpacklo_ps(v, v);
  *high = _mm_unpackhi_ps(v, v);
#else
  for (int i = 0; i < W; ++i) {
    (*low)[i] = v[i / 2];
    (*high)[i] = v[W / 2 + i / 2];
  }
#endif
}

void yuv_terms_nearest(const uint8_t* u, const uint8_t* v, int step, const YuvCoefficients* k, long n,
                       float* out, long plane) {
  // Chroma - 128 is a sixteenth of what the coefficients are for.
  const float mean = 16.f * 128.f;
  const V rv = splat(16 * k->rv), gu = splat(16 * k->gu), gv = splat(16 * k->gv), bu = splat(16 * k->bu);
  const V r0 = splat(k->y_shift - mean * k->rv), g0 = splat(k->y_shift - mean * (k->gu + k->gv)),
          b0 = splat(k->y_shift - mean * k->bu);
  V low, high;
  for (long j = 0; j < n; j += W) {
    V cb, cr;
    if (step == 2) {
      const VI both = widen(reinterpret_cast<const int16_t*>(u + 2 * j));
      cb = to_float(both & splat_i(255));
      cr = to_float((both >> 8) & splat_i(255));
    } else {
      cb = to_float(widen(u + j));
      cr = to_float(widen(v + j));
    }
    twice(r0 + cr * rv, &low, &high);
    store(out + 2 * j, low);
    store(out + 2 * j + W, high);
    twice(g0 + cb * gu + cr * gv, &low, &high);
    store(out + 2 * j + plane, low);
    store(out + 2 * j + plane + W, high);
    twice(b0 + cb * bu, &low, &high);
    store(out + 2 * j + 2 * plane, low);
    store(out + 2 * j + 2 * plane + W, high);
  }
}

void blend_yuv(const uint8_t* const* luma, long at, const float* const* terms, long plane,
               const float* falling, const float* rising, int rows, float scale, long n, float* carry,
               long carry_plane, float* out) {
  const V luma_scale = splat(scale);
  for (long j = 0; j < n; j += W) {
    V r0 = load(carry + j), g0 = load(carry + j + carry_plane), b0 = load(carry + j + 2 * carry_plane);
    V r1 = V{}, g1 = V{}, b1 = V{};
    for (int t = 0; t < rows; ++t) {
      __builtin_prefetch(luma[t] + at + j + 320);  // rows are too short a stretch for the hardware to foresee
      const V y = to_float(widen(luma[t] + at + j));
      const float* c = terms[t] + j;
      const V r = clamp_level(y * luma_scale + load(c));
      const V g = clamp_level(y * luma_scale + load(c + plane));
      const V b = clamp_level(y * luma_scale + load(c + 2 * plane));
      const V w0 = splat(falling[t]), w1 = splat(rising[t]);
      r0 += w0 * r;
      g0 += w0 * g;
      b0 += w0 * b;
      r1 += w1 * r;
      g1 += w1 * g;
      b1 += w1 * b;
    }
    store_pixels(out + W * j, r0, g0, b0);
    store(carry + j, r1);
    store(carry + j + carry_plane, g1);
    store(carry + j + 2 * carry_plane, b1);
  }
}

void yuv_f32(const uint8_t* y, const int16_t* u, const int16_t* v, const YuvCoefficients* k, long n,
             float* out, long plane) {
  for (long j = 0; j < n; j += W) {
    const V cb = to_float(widen(u + j)), cr = to_float(widen(v + j));
    const V luma = to_float(widen(y + j)) * splat(k->y) + splat(k->y_shift);
    store(out + j, clamp_level(luma + cr * splat(k->rv)));
    store(out + j + plane, clamp_level(luma + cb * splat(k->gu) + cr * splat(k->gv)));
    store(out + j + 2 * plane, clamp_level(luma + cb * splat(k->bu)));
  }
}

CINEFUSE_INLINE uint8_t clamp_u8(int32_t x) { return static_cast<uint8_t>(x < 0 ? 0 : x > 255 ? 255 : x); }

void yuv_u8(const uint8_t* y, const int16_t* u, const int16_t* v, const YuvCoefficients* k, long n,
            uint8_t* out) {
  for (long j = 0; j < n; ++j) {
    const int32_t luma = y[j] * k->iy + k->iy_shift;
    out[3 * j] = clamp_u8((luma + v[j] * k->irv) >> 20);
    out[3 * j + 1] = clamp_u8((luma + u[j] * k->igu + v[j] * k->igv) >> 20);
    out[3 * j + 2] = clamp_u8((luma + u[j] * k->ibu) >> 20);
  }
}

#if defined(__AVX2__)

// Four rows together share the loading of the weights. Weights are in two parts of 11 bits
// (Coefficients::packed), so that the exact products of two samples are one 16-bit multiply-add a part: acc =
// (high << 11) + low, modulo 2^32.
void pass_rows(const uint8_t* const* rows, int n_rows, const int32_t* first, const int32_t* count,
               const int32_t*, const int32_t* packed, int taps, long n, uint8_t* const* out) {
  const int groups_a_row = (taps + 3) / 4;
  const uint8_t* in[4];
  uint8_t* to[4];
  for (int r = 0; r < 4; ++r) {
    in[r] = rows[r < n_rows ? r : 0];
    to[r] = out[r < n_rows ? r : 0];
  }
  // Bytes of 4 pixels to int16 R R G G B B 0 0 of two pixels a lane.
  const __m256i spread = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9,
                                          -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m256i pick_high = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m256i pick_low = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
  const __m128i half = _mm_set1_epi32(1 << 21);
  for (long i = 0; i < n; ++i) {
    const int32_t* w = packed + i * 4 * groups_a_row;
    const int groups = (count[i] + 3) / 4;
    long at = 3L * first[i];
    __m256i high[4], low[4];
    for (int r = 0; r < 4; ++r) high[r] = low[r] = _mm256_setzero_si256();
    for (int g = 0; g < groups; ++g, at += 12, w += 4) {
      const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
      const __m256i w_high = _mm256_permutevar8x32_epi32(both, pick_high);
      const __m256i w_low = _mm256_permutevar8x32_epi32(both, pick_low);
      for (int r = 0; r < 4; ++r) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in[r] + at));
        const __m256i x = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), spread);
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(x, w_high));
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(x, w_low));
      }
    }
    __m128i y[4];
    for (int r = 0; r < 4; ++r) {
      const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high[r], 11), low[r]);
      const __m128i both = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
      y[r] = _mm_srai_epi32(_mm_add_epi32(both, half), 22);
    }
    const __m128i levels = _mm_packus_epi16(_mm_packs_epi32(y[0], y[1]), _mm_packs_epi32(y[2], y[3]));
    int32_t pixel[4];  // the fourth byte is overwritten by the next pixel
    _mm_storeu_si128(reinterpret_cast<__m128i*>(pixel), levels);
    for (int r = 3; r >= 0; --r) __builtin_memcpy(to[r] + 3 * i, &pixel[r], 4);
  }
}

#else

void pass_rows(const uint8_t* const* rows, int n_rows, const int32_t* first, const int32_t* count,
               const int32_t* fixed, const int32_t*, int taps, long n, uint8_t* const* out) {
  for (int r = 0; r < n_rows; ++r) {
    for (long i = 0; i < n; ++i) {
      const uint8_t* p = rows[r] + 3 * first[i];
      const int32_t* w = fixed + i * taps;
      int32_t a = 1 << 21, b = 1 << 21, c = 1 << 21;
      for (int t = 0; t < count[i]; ++t) {
        a += w[t] * p[3 * t];
        b += w[t] * p[3 * t + 1];
        c += w[t] * p[3 * t + 2];
      }
      out[r][3 * i] = clamp_u8(a >> 22);
      out[r][3 * i + 1] = clamp_u8(b >> 22);
      out[r][3 * i + 2] = clamp_u8(c >> 22);
    }
  }
}

#endif

CINEFUSE_INLINE void store_levels(uint8_t* out, VI v) {
  v = v < VI{} ? VI{} : v;
  *reinterpret_cast<B*>(out) = __builtin_convertvector(v > splat_i(255) ? splat_i(255) : v, B);
}

void pass_column(const uint8_t* const* rows, const int32_t* fixed, int taps, long n, uint8_t* out) {
  for (long j = 0; j < n; j += 2 * W) {
    VI a = splat_i(1 << 21), b = a;
    for (int t = 0; t < taps; ++t) {
      const VI w = splat_i(fixed[t]);
      a += w * widen(rows[t] + j);
      b += w * widen(rows[t] + j + W);
    }
    store_levels(out + j, a >> 22);
    store_levels(out + j + W, b >> 22);
  }
}

void to_half(long n, const float* x, uint16_t* y) {
  for (long i = 0; i < n; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, 4);
    const uint32_t sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu;
    uint32_t h;
    if (a >= 0x7f800000u) {
      h = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    } else if (a >= 0x477ff000u) {  // rounds to 65536 or more
      h = 0x7c00u;
    } else if (a >= 0x38800000u) {  // normal
      h = (a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13;
    } else {
      // Subnormal: adding 1/2 leaves the value in units of 2^-24, rounded to even, in the low bits.
      float f;
      __builtin_memcpy(&f, &a, 4);
      f += 0.5f;
      __builtin_memcpy(&h, &f, 4);
      h -= 0x3f000000u;
    }
    y[i] = static_cast<uint16_t>(sign | h);
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(FramesSimd, frames_simd) = {
    W / 4,     gather_u8,         gather_planes, blend_yuv, contract,  contract_rows, chroma,
    yuv_terms, yuv_terms_nearest, yuv_f32,       yuv_u8,    pass_rows, pass_column,   to_half};
}
