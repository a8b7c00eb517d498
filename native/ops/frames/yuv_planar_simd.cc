#include "yuv_planar_simd.h"

#include "../../core/simd.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

// Beyond this unit's own flags: the caller has asked planar_supported.
#define CINEFUSE_VBMI __attribute__((target("avx512vbmi")))

namespace {

using cinefuse::YuvBounds;
using cinefuse::YuvCoefficients;
using cinefuse::YuvFinish;

CINEFUSE_INLINE uint64_t first_bits(long n) {
  return n >= 64 ? ~uint64_t{0} : n <= 0 ? 0 : (uint64_t{1} << n) - 1;
}
CINEFUSE_INLINE __mmask16 lanes16(long n) { return static_cast<__mmask16>(n >= 16 ? 0xffff : (1 << n) - 1); }

// Every second byte of two vectors.
struct SplitTable {
  uint8_t even[64] = {};
  constexpr SplitTable() {
    for (int i = 0; i < 64; ++i) even[i] = static_cast<uint8_t>(2 * i);
  }
};
constexpr SplitTable kSplit;

CINEFUSE_VBMI void split(const uint8_t* uv, long n, long plane, uint8_t* out) {
  const __m512i even = _mm512_loadu_si512(kSplit.even), odd = _mm512_add_epi8(even, _mm512_set1_epi8(1));
  for (long i = 0; i < n; i += 64) {
    const long left = 2 * (n - i);
    const __m512i a = _mm512_maskz_loadu_epi8(first_bits(left), uv + 2 * i);
    const __m512i b = _mm512_maskz_loadu_epi8(first_bits(left - 64), uv + 2 * i + 64);
    _mm512_storeu_si512(out + i, _mm512_permutex2var_epi8(a, even, b));
    _mm512_storeu_si512(out + plane + i, _mm512_permutex2var_epi8(a, odd, b));
  }
}

// 256 * (chroma - 128) of 32 samples
CINEFUSE_INLINE __m512i centred(const uint8_t* p, long n) {
  const __mmask32 mask = static_cast<__mmask32>(first_bits(n));
  const __m512i x = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, p));
  return _mm512_xor_si512(_mm512_slli_epi16(x, 8), _mm512_set1_epi16(-32768));
}

template <int Step>
void flags_by(const uint8_t* y0, const uint8_t* y1, const uint8_t* u, const uint8_t* v, long n,
              const YuvBounds* b, uint64_t* out) {
  const __m512i low_bytes = _mm512_set1_epi16(255), middle = _mm512_set1_epi16(-32768);
  uint64_t word = 0;
  for (long x = 0; x < n; x += 64) {
    const uint64_t mask = first_bits(n - x);
    const long samples = (n - x + 1) / 2;
    const __m512i a = _mm512_maskz_loadu_epi8(mask, y0 + x), c = _mm512_maskz_loadu_epi8(mask, y1 + x);
    const __m512i low = _mm512_min_epu8(a, c), high = _mm512_max_epu8(a, c);
    const __m512i pair_low = _mm512_min_epu16(_mm512_and_si512(low, low_bytes), _mm512_srli_epi16(low, 8));
    const __m512i pair_high = _mm512_max_epu16(_mm512_and_si512(high, low_bytes), _mm512_srli_epi16(high, 8));
    __m512i cb, cr;
    if (Step == 2) {
      const __m512i uv = _mm512_maskz_loadu_epi8(first_bits(2 * samples), u + x);
      cb = _mm512_xor_si512(_mm512_slli_epi16(uv, 8), middle);
      cr = _mm512_xor_si512(_mm512_andnot_si512(low_bytes, uv), middle);
    } else {
      cb = centred(u + x / 2, samples);
      cr = centred(v + x / 2, samples);
    }
    const __m512i red = _mm512_mulhrs_epi16(cr, _mm512_set1_epi16(b->rv));
    const __m512i green = _mm512_add_epi16(_mm512_mulhrs_epi16(cb, _mm512_set1_epi16(b->gu)),
                                           _mm512_mulhrs_epi16(cr, _mm512_set1_epi16(b->gv)));
    const __m512i blue = _mm512_mulhrs_epi16(cb, _mm512_set1_epi16(b->bu));
    const __m512i from =
        _mm512_sub_epi16(_mm512_set1_epi16(b->low), _mm512_min_epi16(_mm512_min_epi16(red, green), blue));
    const __m512i to =
        _mm512_sub_epi16(_mm512_set1_epi16(b->high), _mm512_max_epi16(_mm512_max_epi16(red, green), blue));
    // An odd number of columns ends with half a pair, which may be flagged for nothing.
    uint32_t clamped = (_mm512_cmplt_epi16_mask(_mm512_slli_epi16(pair_low, 6), from) |
                        _mm512_cmpgt_epi16_mask(_mm512_slli_epi16(pair_high, 6), to)) &
                       static_cast<uint32_t>(first_bits(samples));
    // A bit of each eight pairs, the four of them side by side.
    clamped |= clamped >> 4;
    clamped |= clamped >> 2;
    clamped = (clamped | clamped >> 1) & 0x01010101u;
    word |= static_cast<uint64_t>(clamped * 0x10204080u >> 28) << (x / 16 % 64);
    if (x % 1024 == 960 || x + 64 >= n) {
      out[x / 1024] = word;
      word = 0;
    }
  }
}

void flags(const uint8_t* y0, const uint8_t* y1, const uint8_t* u, const uint8_t* v, int step, long n,
           const YuvBounds* b, uint64_t* out) {
  step == 2 ? flags_by<2>(y0, y1, u, v, n, b, out) : flags_by<1>(y0, y1, u, v, n, b, out);
}

CINEFUSE_INLINE __m512 beyond(__m512 v) {
  const __m512 inside = _mm512_min_ps(_mm512_max_ps(v, _mm512_setzero_ps()), _mm512_set1_ps(255.f));
  return _mm512_sub_ps(inside, v);
}

void excess(const uint8_t* y, const uint8_t* u, const uint8_t* v, int step, long n, const YuvCoefficients* k,
            float weight, float next_weight, float* out, float* next, long plane) {
  const __m128i each_twice = _mm_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  const __m128i even_twice = _mm_setr_epi8(0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14);
  const __m128i twice = step == 2 ? even_twice : each_twice;
  const __mmask16 mask = lanes16(n), sample_bytes = lanes16(step * ((n + 1) / 2) - (step - 1));
  const __m512i grey = _mm512_set1_epi32(128);
  const __m128i cb8 = _mm_shuffle_epi8(_mm_maskz_loadu_epi8(sample_bytes, u), twice);
  const __m128i cr8 = _mm_shuffle_epi8(_mm_maskz_loadu_epi8(sample_bytes, v), twice);
  const __m512 cb = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(cb8), grey));
  const __m512 cr = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(cr8), grey));
  const __m512 level = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, y)));
  const __m512 luma = _mm512_fmadd_ps(level, _mm512_set1_ps(k->y), _mm512_set1_ps(k->y_shift));
  const __m512 rgb[3] = {
      _mm512_fmadd_ps(cr, _mm512_set1_ps(16 * k->rv), luma),
      _mm512_fmadd_ps(cb, _mm512_set1_ps(16 * k->gu), _mm512_fmadd_ps(cr, _mm512_set1_ps(16 * k->gv), luma)),
      _mm512_fmadd_ps(cb, _mm512_set1_ps(16 * k->bu), luma)};
  const __m512 w = _mm512_set1_ps(weight), next_w = _mm512_set1_ps(next_weight);
  for (int c = 0; c < 3; ++c) {
    const __m512 x = beyond(rgb[c]);
    float *to = out + c * plane, *next_to = next + c * plane;
    _mm512_mask_storeu_ps(to, mask, _mm512_fmadd_ps(x, w, _mm512_maskz_loadu_ps(mask, to)));
    _mm512_mask_storeu_ps(next_to, mask, _mm512_fmadd_ps(x, next_w, _mm512_maskz_loadu_ps(mask, next_to)));
  }
}

void contract(const float* e, long plane, const int32_t* first, const int32_t* count, const float* weights,
              int taps, long n, float* out, long out_plane) {
  for (long i = 0; i < n; ++i) {
    __m512 sum[3] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int t = 0; t < count[i]; t += 16) {
      const __mmask16 mask = lanes16(count[i] - t);
      const __m512 w = _mm512_maskz_loadu_ps(mask, weights + i * taps + t);
      for (int c = 0; c < 3; ++c) {
        sum[c] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, e + c * plane + first[i] + t), w, sum[c]);
      }
    }
    for (int c = 0; c < 3; ++c) out[c * out_plane + i] = _mm512_reduce_add_ps(sum[c]);
  }
}

void finish(const float* const* luma, const float* luma_weights, int luma_taps, const float* const* chroma,
            const float* chroma_weights, int chroma_taps, long plane, const YuvFinish* f, const float* e,
            long n, float* const* out) {
  for (long j = 0; j < n; j += 16) {
    const __mmask16 mask = lanes16(n - j);
    __m512 y = _mm512_setzero_ps(), u = y, v = y;
    for (int t = 0; t < luma_taps; ++t) {
      y = _mm512_fmadd_ps(_mm512_set1_ps(luma_weights[t]), _mm512_loadu_ps(luma[t] + j), y);
    }
    for (int t = 0; t < chroma_taps; ++t) {
      const __m512 w = _mm512_set1_ps(chroma_weights[t]);
      u = _mm512_fmadd_ps(w, _mm512_loadu_ps(chroma[t] + j), u);
      v = _mm512_fmadd_ps(w, _mm512_loadu_ps(chroma[t] + plane + j), v);
    }
    for (int c = 0; c < 3; ++c) {
      __m512 x = _mm512_fmadd_ps(v, _mm512_set1_ps(f->v[c]), _mm512_set1_ps(f->plus[c]));
      x = _mm512_fmadd_ps(u, _mm512_set1_ps(f->u[c]), x);
      x = _mm512_fmadd_ps(y, _mm512_set1_ps(f->luma[c]), x);
      if (e) x = _mm512_fmadd_ps(_mm512_loadu_ps(e + c * plane + j), _mm512_set1_ps(f->scale[c]), x);
      _mm512_mask_storeu_ps(out[c] + j, mask, x);
    }
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(YuvPlanarSimd, yuv_planar_simd) = {split, flags, excess, contract, finish};
}
#else
namespace cinefuse {
CINEFUSE_SIMD_DEFINE(YuvPlanarSimd, yuv_planar_simd) = {nullptr, nullptr, nullptr, nullptr, nullptr};
}
#endif
