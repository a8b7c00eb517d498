#include "planar_simd.h"

#include "../../core/simd.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

// Beyond this unit's own flags: the caller has asked planar_supported.
#define CINEFUSE_VNNI __attribute__((target("avx512vbmi,avx512vnni")))

namespace {

using cinefuse::Ahead;
using cinefuse::PlanarView;

// Where byte 3i + k of three vectors a, b, c lies: in a and b together, or in c.
struct SplitTables {
  uint8_t from_ab[3][64] = {}, from_c[3][64] = {};
  uint64_t in_c[3] = {0, 0, 0};
  constexpr SplitTables() {
    for (int k = 0; k < 3; ++k) {
      for (int i = 0; i < 64; ++i) {
        const int at = 3 * i + k;
        from_ab[k][i] = static_cast<uint8_t>(at & 127);
        from_c[k][i] = static_cast<uint8_t>(at & 63);
        if (at >= 128) in_c[k] |= uint64_t{1} << i;
      }
    }
  }
};
constexpr SplitTables kSplit;

CINEFUSE_VNNI void split(const uint8_t* rgb, long n, long plane, uint8_t* out) {
  __m512i ab[3], c[3];
  for (int k = 0; k < 3; ++k) {
    ab[k] = _mm512_loadu_si512(kSplit.from_ab[k]);
    c[k] = _mm512_loadu_si512(kSplit.from_c[k]);
  }
  for (long i = 0; i < n; i += 64) {
    const uint8_t* p = rgb + 3 * i;
    __m512i v[3];
    if (n - i >= 64) {
      for (int k = 0; k < 3; ++k) v[k] = _mm512_loadu_si512(p + 64 * k);
    } else {
      const long bytes = 3 * (n - i);
      for (int k = 0; k < 3; ++k) {
        const long left = bytes - 64 * k;
        const uint64_t mask = left >= 64 ? ~uint64_t{0} : left <= 0 ? 0 : (uint64_t{1} << left) - 1;
        v[k] = _mm512_maskz_loadu_epi8(mask, p + 64 * k);
      }
    }
    for (int k = 0; k < 3; ++k) {
      const __m512i x = _mm512_permutex2var_epi8(v[0], ab[k], v[1]);
      _mm512_storeu_si512(out + k * plane + i, _mm512_mask_permutexvar_epi8(x, kSplit.in_c[k], c[k], v[2]));
    }
  }
}

CINEFUSE_INLINE CINEFUSE_VNNI void put(uint8_t* out, __m512i sum) {
  const __m512i level = _mm512_srai_epi32(_mm512_add_epi32(sum, _mm512_set1_epi32(1 << 21)), 22);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                   _mm512_cvtusepi32_epi8(_mm512_max_epi32(level, _mm512_setzero_si512())));
}
CINEFUSE_INLINE CINEFUSE_VNNI void put(float* out, __m512i sum) {
  _mm512_storeu_ps(out, _mm512_cvtepi32_ps(sum));
}

CINEFUSE_INLINE CINEFUSE_VNNI __m512i digits_together(__m512i low, __m512i middle, __m512i high) {
  return _mm512_add_epi32(_mm512_slli_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 8), middle), 8), low);
}

// sum += four taps of x by w. (GCC 12 moves the sums of the intrinsic about in every turn of the loop.)
CINEFUSE_INLINE CINEFUSE_VNNI void add_products(__m512i& sum, __m512i x, __m512i w) {
#if defined(__GNUC__) && !defined(__clang__)
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
#else
  sum = _mm512_dpbusd_epi32(sum, x, w);
#endif
}

template <int K, class T>
CINEFUSE_VNNI void pass_of(const PlanarView& p, const uint8_t* const* rows, T* const* out, Ahead ahead) {
  const long share = 16 * ahead.bytes / p.n + 1;
  for (long block = 0; block * 16 < p.n; ++block) {
    for (long i = block * share; i < (block + 1) * share && i < ahead.bytes; i += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead.at + i), _MM_HINT_T0);
    }
    __m512i low[K], middle[K], high[K];
#pragma GCC unroll 6
    for (int k = 0; k < K; ++k) low[k] = middle[k] = high[k] = _mm512_setzero_si512();
    for (int32_t g = p.group_first[block]; g < p.group_first[block + 1]; ++g) {
      const int8_t* digits = p.digits + 192L * g;
      const __m512i d0 = _mm512_load_si512(digits), d1 = _mm512_load_si512(digits + 64),
                    d2 = _mm512_load_si512(digits + 128);
      const int32_t window = p.window_first[g], windows = p.window_first[g + 1] - window;
      const int32_t* at = p.at + window;
      const uint8_t* index = p.index + 64L * window;
      const uint64_t* lanes = p.lanes + window;
      const __m512i index0 = _mm512_load_si512(index);
      if (windows == 1) {
#pragma GCC unroll 6
        for (int k = 0; k < K; ++k) {
          const __m512i x = _mm512_permutexvar_epi8(index0, _mm512_loadu_si512(rows[k] + at[0]));
          add_products(low[k], x, d0);
          add_products(middle[k], x, d1);
          add_products(high[k], x, d2);
        }
        continue;
      }
      const __m512i index1 = _mm512_load_si512(index + 64);
#pragma GCC unroll 6
      for (int k = 0; k < K; ++k) {
        __m512i x = _mm512_permutexvar_epi8(index0, _mm512_loadu_si512(rows[k] + at[0]));
        x = _mm512_mask_permutexvar_epi8(x, lanes[1], index1, _mm512_loadu_si512(rows[k] + at[1]));
        for (int32_t w = 2; w < windows; ++w) {
          x = _mm512_mask_permutexvar_epi8(x, lanes[w], _mm512_load_si512(index + 64L * w),
                                           _mm512_loadu_si512(rows[k] + at[w]));
        }
        add_products(low[k], x, d0);
        add_products(middle[k], x, d1);
        add_products(high[k], x, d2);
      }
    }
#pragma GCC unroll 6
    for (int k = 0; k < K; ++k) put(out[k] + 16 * block, digits_together(low[k], middle[k], high[k]));
  }
}

// The same where a block's bytes lie within 128: two vectors that stay in registers for all of its groups,
// and no branch on the number of windows, which would be anybody's guess there.
template <class T>
CINEFUSE_VNNI void near_pass(const PlanarView& p, const uint8_t* const* rows, T* const* out, Ahead ahead) {
  constexpr int K = 3;
  const long share = 16 * ahead.bytes / p.n + 1;
  for (long block = 0; block * 16 < p.n; ++block) {
    for (long i = block * share; i < (block + 1) * share && i < ahead.bytes; i += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead.at + i), _MM_HINT_T0);
    }
    __m512i first[K], second[K], low[K], middle[K], high[K];
#pragma GCC unroll 3
    for (int k = 0; k < K; ++k) {
      const uint8_t* from = rows[k] + p.block_at[block];
      first[k] = _mm512_loadu_si512(from);
      second[k] = _mm512_loadu_si512(from + 64);
      low[k] = middle[k] = high[k] = _mm512_setzero_si512();
    }
    for (int32_t g = p.group_first[block]; g < p.group_first[block + 1]; ++g) {
      const int8_t* digits = p.digits + 192L * g;
      const __m512i d0 = _mm512_load_si512(digits), d1 = _mm512_load_si512(digits + 64),
                    d2 = _mm512_load_si512(digits + 128);
      const __m512i index = _mm512_load_si512(p.near + 64L * g);
      const uint64_t in_second = p.in_second[g];
#pragma GCC unroll 3
      for (int k = 0; k < K; ++k) {
        const __m512i x = _mm512_mask_permutexvar_epi8(_mm512_permutexvar_epi8(index, first[k]), in_second,
                                                       index, second[k]);
        add_products(low[k], x, d0);
        add_products(middle[k], x, d1);
        add_products(high[k], x, d2);
      }
    }
#pragma GCC unroll 3
    for (int k = 0; k < K; ++k) put(out[k] + 16 * block, digits_together(low[k], middle[k], high[k]));
  }
}

template <class T>
CINEFUSE_VNNI void pass(const PlanarView* p, const uint8_t* const* rows, int count, T* const* out,
                        Ahead ahead) {
  if (!p->is_near) return count == 6 ? pass_of<6>(*p, rows, out, ahead) : pass_of<3>(*p, rows, out, ahead);
  near_pass(*p, rows, out, ahead);
  if (count == 6) near_pass(*p, rows + 3, out + 3, Ahead{nullptr, 0});
}

CINEFUSE_VNNI void column_f32(const float* const* rows, const float* weights, int taps, long plane, long n,
                              const float* scale, const float* shift, float* const* out) {
  for (int c = 0; c < 3; ++c) {
    const __m512 by = _mm512_set1_ps(scale[c]), plus = _mm512_set1_ps(shift[c]);
    for (long j = 0; j < n; j += 32) {
      const float* const* row = rows;
      __m512 a = _mm512_setzero_ps(), b = a;
      for (int t = 0; t < taps; ++t) {
        const __m512 w = _mm512_set1_ps(weights[t]);
        const float* p = row[t] + c * plane + j;
        a = _mm512_fmadd_ps(w, _mm512_loadu_ps(p), a);
        b = _mm512_fmadd_ps(w, _mm512_loadu_ps(p + 16), b);
      }
      const long left = n - j;
      const uint32_t mask = left >= 32 ? ~uint32_t{0} : (uint32_t{1} << left) - 1;
      _mm512_mask_storeu_ps(out[c] + j, static_cast<__mmask16>(mask), _mm512_fmadd_ps(a, by, plus));
      _mm512_mask_storeu_ps(out[c] + j + 16, static_cast<__mmask16>(mask >> 16),
                            _mm512_fmadd_ps(b, by, plus));
    }
  }
}

// Four rows at a time: their bytes of one column side by side are a group of four taps.
CINEFUSE_VNNI void column_u8(const uint8_t* const* rows, const int32_t* fixed, int taps, long n,
                             uint8_t* out) {
  for (long j = 0; j < n; j += 64) {
    __m512i low[4], middle[4], high[4];
    for (int k = 0; k < 4; ++k) low[k] = middle[k] = high[k] = _mm512_setzero_si512();
    for (int t = 0; t < taps; t += 4) {
      __m512i v[4];
      uint32_t d0 = 0, d1 = 0, d2 = 0;
      for (int r = 0; r < 4; ++r) {
        v[r] = t + r < taps ? _mm512_loadu_si512(rows[t + r] + j) : _mm512_setzero_si512();
        const int32_t w = t + r < taps ? fixed[t + r] : 0;
        // The digits of w: adding 128 to each lower one carries what makes it signed.
        const uint32_t carried = static_cast<uint32_t>(w) + 0x8080u;
        d0 |= ((carried & 255u) ^ 128u) << (8 * r);
        d1 |= ((carried >> 8 & 255u) ^ 128u) << (8 * r);
        d2 |= (carried >> 16 & 255u) << (8 * r);
      }
      const __m512i ab_lo = _mm512_unpacklo_epi8(v[0], v[1]), ab_hi = _mm512_unpackhi_epi8(v[0], v[1]);
      const __m512i cd_lo = _mm512_unpacklo_epi8(v[2], v[3]), cd_hi = _mm512_unpackhi_epi8(v[2], v[3]);
      // x[k]: columns 4k ... 4k + 3 of each sixteen
      const __m512i x[4] = {_mm512_unpacklo_epi16(ab_lo, cd_lo), _mm512_unpackhi_epi16(ab_lo, cd_lo),
                            _mm512_unpacklo_epi16(ab_hi, cd_hi), _mm512_unpackhi_epi16(ab_hi, cd_hi)};
      const __m512i w0 = _mm512_set1_epi32(static_cast<int32_t>(d0)),
                    w1 = _mm512_set1_epi32(static_cast<int32_t>(d1)),
                    w2 = _mm512_set1_epi32(static_cast<int32_t>(d2));
      for (int k = 0; k < 4; ++k) {
        add_products(low[k], x[k], w0);
        add_products(middle[k], x[k], w1);
        add_products(high[k], x[k], w2);
      }
    }
    __m512i y[4];
    for (int k = 0; k < 4; ++k) {
      const __m512i sum = digits_together(low[k], middle[k], high[k]);
      y[k] = _mm512_srai_epi32(_mm512_add_epi32(sum, _mm512_set1_epi32(1 << 21)), 22);
    }
    _mm512_storeu_si512(out + j,
                        _mm512_packus_epi16(_mm512_packs_epi32(y[0], y[1]), _mm512_packs_epi32(y[2], y[3])));
  }
}

CINEFUSE_INLINE CINEFUSE_VNNI __m512d rounded_product(__m512d a, __m512d b) {
  return _mm512_mul_round_pd(a, b, _MM_FROUND_CUR_DIRECTION);
}

CINEFUSE_VNNI void levels(const uint8_t* in, long n, double scale, double shift, float* out) {
  const __m512d by = _mm512_set1_pd(scale), plus = _mm512_set1_pd(shift);
  for (long j = 0; j < n; j += 16) {
    const long left = n - j;
    const __mmask16 mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
    const __m512i x = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, in + j));
    const __m512d a = _mm512_cvtepi32_pd(_mm512_castsi512_si256(x));
    const __m512d b = _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(x, 1));
    // Rounded after the product, too, as make_normalisation does.
    const __m256 low = _mm512_cvtpd_ps(_mm512_add_pd(rounded_product(a, by), plus));
    const __m256 high = _mm512_cvtpd_ps(_mm512_add_pd(rounded_product(b, by), plus));
    _mm512_mask_storeu_ps(out + j, mask, _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1));
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(PlanarSimd, planar_simd) = {split,      pass<uint8_t>, pass<float>,
                                                 column_f32, column_u8,     levels};
}
#else
namespace cinefuse {
CINEFUSE_SIMD_DEFINE(PlanarSimd, planar_simd) = {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
}
#endif
