#include "bf16x3_simd.h"

// The instruction sets of this unit go beyond what its flags name; bf16x3.cc asks the CPU before it calls
// them.
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#pragma GCC target("avx512bf16")
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header
#include <immintrin.h>
#define CINEFUSE_BF16 1
#endif

#include "../simd.h"
#include "gemm_simd.h"

namespace {

using cinefuse::kPanel;
using cinefuse::SplitTile;

constexpr int kTile = 16;  // rows of a tile, and pairs or floats across it

// The upper 16 bits of x rounded to nearest, ties to even; a NaN stays one.
CINEFUSE_INLINE VI rounded(V x) {
  const VI bits = reinterpret_cast<VI>(x);
  const VI odd = (bits >> 16) & splat_i(1);
  const VI up = (bits + splat_i(0x7fff) + odd) & splat_i(-65536);
  return x != x ? splat_i(0x7fc00000) : up;
}

CINEFUSE_INLINE void split_vector(V x, VI* high, VI* low) {
  *high = rounded(x);
  const V rest = x - reinterpret_cast<V>(*high);
  const VI finite = (*high & splat_i(0x7f800000)) != splat_i(0x7f800000);
  *low = rounded(rest) & finite;
}

CINEFUSE_INLINE VI pair(VI even, VI odd) {
  typedef uint32_t U __attribute__((vector_size(CINEFUSE_W * 4), may_alias));
  return reinterpret_cast<VI>(reinterpret_cast<U>(even) >> 16) | odd;
}

void split(int kc, int width, const float* from, long stride, uint32_t* high, uint32_t* low) {
  const int pairs = (kc + 1) / 2, all = (pairs + kTile - 1) / kTile * kTile;
  for (int p = 0; p < all; ++p, high += width, low += width) {
    for (int i = 0; i < width; i += W) {
      VI h0 = {}, l0 = {}, h1 = {}, l1 = {};
      if (2 * p < kc) split_vector(load(from + 2 * p * stride + i), &h0, &l0);
      if (2 * p + 1 < kc) split_vector(load(from + (2 * p + 1) * stride + i), &h1, &l1);
      *reinterpret_cast<VI*>(high + i) = pair(h0, h1);
      *reinterpret_cast<VI*>(low + i) = pair(l0, l1);
    }
  }
}

// ---- Tiles: eight of 16 rows of 64 bytes. Hardware has them in registers; Software says what they do.

struct Software {
  uint32_t tile[8][kTile][kTile];

  template <int T>
  void zero() {
    __builtin_memset(tile[T], 0, sizeof tile[T]);
  }
  template <int T>
  void load_from(const void* from, long stride) {
    for (int r = 0; r < kTile; ++r) {
      __builtin_memcpy(tile[T][r], static_cast<const char*>(from) + r * stride, sizeof tile[T][r]);
    }
  }
  template <int T>
  void store_to(void* to, long stride) {
    for (int r = 0; r < kTile; ++r) {
      __builtin_memcpy(static_cast<char*>(to) + r * stride, tile[T][r], sizeof tile[T][r]);
    }
  }
  // TDPBF16PS: tile C, of floats, += tile A · tile B; a row of A and a column of B hold 16 pairs.
  template <int C, int A, int B>
  void multiply() {
    for (int m = 0; m < kTile; ++m) {
      for (int k = 0; k < kTile; ++k) {
        const uint32_t a = tile[A][m][k];
        for (int n = 0; n < kTile; ++n) {
          const uint32_t b = tile[B][k][n];
          float sum = value(tile[C][m][n]);
          sum += value(a << 16) * value(b << 16);
          sum += value(a & 0xffff0000u) * value(b & 0xffff0000u);
          __builtin_memcpy(&tile[C][m][n], &sum, sizeof sum);
        }
      }
    }
  }
  // Subnormal numbers count as zeros, as in hardware.
  static float value(uint32_t bits) {
    if ((bits & 0x7f800000u) == 0) bits &= 0x80000000u;
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
  }
};

#if defined(CINEFUSE_BF16)
// In assembler, since the compiler's own names for these are macros that take nothing but literals. The tiles
// are no one's but ours: compiled code has no use for them.
struct Hardware {
  template <int T>
  CINEFUSE_INLINE void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  template <int T>
  CINEFUSE_INLINE void load_from(const void* from, long stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  CINEFUSE_INLINE void store_to(void* to, long stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(T) : "memory");
  }
  template <int C, int A, int B>
  CINEFUSE_INLINE void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
};
#endif

// Tiles 0 to 3 add up, [row tile][column tile]; 4 and 5 hold rows of A, 6 and 7 columns of B.
template <class T, int M>
CINEFUSE_INLINE void products(T& t) {
  t.template multiply<0, 4, 6>();
  t.template multiply<1, 4, 7>();
  if (M > 1) {
    t.template multiply<2, 5, 6>();
    t.template multiply<3, 5, 7>();
  }
}

template <class T, int M>
CINEFUSE_INLINE void load_a(T& t, const uint32_t* a, long bytes) {
  t.template load_from<4>(a, bytes);
  if (M > 1) t.template load_from<5>(reinterpret_cast<const char*>(a) + kTile * bytes, bytes);
}

template <class T>
CINEFUSE_INLINE void load_b(T& t, const uint32_t* b) {
  t.template load_from<6>(b, kPanel * 4);
  t.template load_from<7>(b + kTile, kPanel * 4);
}

template <class T, int M>
CINEFUSE_INLINE void block(T& t, const SplitTile& s) {
  t.template zero<0>();
  t.template zero<1>();
  if (M > 1) {
    t.template zero<2>();
    t.template zero<3>();
  }
  const long bytes = s.pairs_stride * 4;
  for (int p = 0; p < s.pairs; p += kTile) {
    load_a<T, M>(t, s.al + p, bytes);
    load_b(t, s.bh + p * kPanel);
    products<T, M>(t);
    load_a<T, M>(t, s.ah + p, bytes);
    load_b(t, s.bl + p * kPanel);
    products<T, M>(t);
    load_b(t, s.bh + p * kPanel);
    products<T, M>(t);
  }
  float sums[M * kTile][kPanel];
  t.template store_to<0>(sums[0], sizeof sums[0]);
  t.template store_to<1>(sums[0] + kTile, sizeof sums[0]);
  if (M > 1) {
    t.template store_to<2>(sums[(M - 1) * kTile], sizeof sums[0]);
    t.template store_to<3>(sums[(M - 1) * kTile] + kTile, sizeof sums[0]);
  }
  for (int m = 0; m < s.rows; ++m) {
    float* const c = s.c + m * s.ldc;
    const float* const from = s.start ? s.start : c;
    for (int n = 0; n < s.cols; ++n) c[n] = from[n] + sums[m][n];
  }
}

template <class T>
CINEFUSE_INLINE void blocks(const SplitTile& s) {
  T t;
  s.rows > kTile ? block<T, 2>(t, s) : block<T, 1>(t, s);
}

void software_tiles(const SplitTile& s) { blocks<Software>(s); }

#if defined(CINEFUSE_BF16)

void tiles(const SplitTile& s) { blocks<Hardware>(s); }

void begin() {
  struct {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  asm volatile("ldtilecfg %0" ::"m"(config));
}

void end() { asm volatile("tilerelease"); }

// ---- AVX512-BF16: 24 registers of sums, four of B, two of A.

template <int M>
void dot_m(const SplitTile& s) {
  __m512 sum[M][2];
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) sum[m][0] = sum[m][1] = _mm512_setzero_ps();
  for (int p = 0; p < s.pairs; ++p) {
    const uint32_t *const h = s.bh + p * kPanel, *const l = s.bl + p * kPanel;
    const __m512bh h0 = (__m512bh)_mm512_loadu_si512(h), h1 = (__m512bh)_mm512_loadu_si512(h + kTile);
    const __m512bh l0 = (__m512bh)_mm512_loadu_si512(l), l1 = (__m512bh)_mm512_loadu_si512(l + kTile);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
      const __m512bh low = (__m512bh)_mm512_set1_epi32(static_cast<int>(s.al[m * s.pairs_stride + p]));
      const __m512bh high = (__m512bh)_mm512_set1_epi32(static_cast<int>(s.ah[m * s.pairs_stride + p]));
      sum[m][0] = _mm512_dpbf16_ps(sum[m][0], low, h0);
      sum[m][1] = _mm512_dpbf16_ps(sum[m][1], low, h1);
      sum[m][0] = _mm512_dpbf16_ps(sum[m][0], high, l0);
      sum[m][1] = _mm512_dpbf16_ps(sum[m][1], high, l1);
      sum[m][0] = _mm512_dpbf16_ps(sum[m][0], high, h0);
      sum[m][1] = _mm512_dpbf16_ps(sum[m][1], high, h1);
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) {
    float* const c = s.c + m * s.ldc;
    const float* const from = s.start ? s.start : c;
    float line[kPanel];
    _mm512_storeu_ps(line, sum[m][0]);
    _mm512_storeu_ps(line + kTile, sum[m][1]);
    for (int n = 0; n < s.cols; ++n) c[n] = from[n] + line[n];
  }
}

void dot(const SplitTile& s) {
  switch (s.rows) {
#define CINEFUSE_ROWS(n) \
  case n:                \
    dot_m<n>(s);         \
    break;
    CINEFUSE_ROWS(1)
    CINEFUSE_ROWS(2)
    CINEFUSE_ROWS(3)
    CINEFUSE_ROWS(4)
    CINEFUSE_ROWS(5)
    CINEFUSE_ROWS(6)
    CINEFUSE_ROWS(7)
    CINEFUSE_ROWS(8)
    CINEFUSE_ROWS(9)
    CINEFUSE_ROWS(10)
    CINEFUSE_ROWS(11)
    CINEFUSE_ROWS(12)
#undef CINEFUSE_ROWS
  }
}

#endif

}  // namespace

namespace cinefuse {
#if defined(CINEFUSE_BF16)
CINEFUSE_SIMD_DEFINE(Bf16x3Simd, bf16x3_simd) = {split, begin, tiles, end, software_tiles, dot};
#else
CINEFUSE_SIMD_DEFINE(Bf16x3Simd, bf16x3_simd) = {split, nullptr, nullptr, nullptr, software_tiles, nullptr};
#endif
}  // namespace cinefuse
