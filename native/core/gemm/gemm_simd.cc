#include "gemm_simd.h"

#if defined(__SSE2__)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header
#endif
#endif

#include "../simd.h"

namespace {

using cinefuse::kPanel;
#if CINEFUSE_W == 16
constexpr int MR = 12;  // 12 x 32: 24 of 32 registers accumulate
#else
constexpr int MR = 6;  // 6 x 2 vectors: 12 of 16 registers accumulate
#endif
constexpr int NV = 2;                 // vectors across the register tile
constexpr int NR = NV * W;            // columns across it; a panel is kPanel / NR of them
constexpr int kVectors = kPanel / W;  // across a panel

// How a panel keeps its weights, each a form of storage: read<N> makes N vectors of the k that b points to. A
// panel is walked in kPanel / (N * W) steps, N * W elements of a line each; column(v) and first(step) are the
// columns that come out.
struct Floats {
  typedef float Element;
  template <int N>
  static CINEFUSE_INLINE void read(const float* b, V (&w)[N]) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) w[v] = load(b + v * W);
  }
  template <int N>
  static CINEFUSE_INLINE int column(int v) {
    return v * W;
  }
  template <int N>
  static CINEFUSE_INLINE int first(int step) {
    return step * N * W;
  }
  // Whether one vector will do for the columns of a step.
  static CINEFUSE_INLINE bool narrow(int cols, int first) { return cols - first <= W; }
  static CINEFUSE_INLINE const float* scale(const float*, int) { return nullptr; }
  static CINEFUSE_INLINE V scaled(V sum, const float*) { return sum; }
};

// bfloat16, columns i and 16 + i in one 32-bit word: a shift and a mask make them floats.
struct Bfloats {
  typedef uint16_t Element;
  template <int N>
  static CINEFUSE_INLINE void read(const uint16_t* b, V (&w)[N]) {
    constexpr int kWords = N == 1 ? 1 : N / 2;
#pragma GCC unroll 8
    for (int v = 0; v < kWords; ++v) {
      const VI pair = *reinterpret_cast<const VI*>(b + 2 * v * W);
      w[v] = reinterpret_cast<V>(pair << 16);
      if (N > 1) w[v + N / 2] = reinterpret_cast<V>(pair & splat_i(-65536));
    }
  }
  template <int N>
  static CINEFUSE_INLINE int column(int v) {
    return N == 1 ? 0 : v % (N / 2) * W + v / (N / 2) * (kPanel / 2);
  }
  template <int N>
  static CINEFUSE_INLINE int first(int step) {
    return step * N / 2 * W;
  }
  static CINEFUSE_INLINE bool narrow(int cols, int first) { return cols - first <= W && cols <= kPanel / 2; }
  static CINEFUSE_INLINE const float* scale(const float*, int) { return nullptr; }
  static CINEFUSE_INLINE V scaled(V sum, const float*) { return sum; }
};

// 8-bit integers; a column's scale waits until its sum is made.
struct Bytes {
  typedef int8_t Element;
  typedef int8_t Q __attribute__((vector_size(W), aligned(1), may_alias));
  template <int N>
  static CINEFUSE_INLINE void read(const int8_t* b, V (&w)[N]) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) {
      w[v] = __builtin_convertvector(widen(b + v * W), V);
    }
  }
  // GCC's own conversion goes through memory.
  static CINEFUSE_INLINE VI widen(const int8_t* b) {
#if defined(__AVX512F__)
    return reinterpret_cast<VI>(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b))));
#elif defined(__AVX2__)
    return reinterpret_cast<VI>(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b))));
#elif defined(__SSE2__)
    int word;
    __builtin_memcpy(&word, b, 4);
    const __m128i bytes = _mm_cvtsi32_si128(word);
    const __m128i pairs = _mm_unpacklo_epi8(bytes, bytes);
    return reinterpret_cast<VI>(_mm_srai_epi32(_mm_unpacklo_epi16(pairs, pairs), 24));
#else
    return __builtin_convertvector(*reinterpret_cast<const Q*>(b), VI);
#endif
  }
  template <int N>
  static CINEFUSE_INLINE int column(int v) {
    return v * W;
  }
  template <int N>
  static CINEFUSE_INLINE int first(int step) {
    return step * N * W;
  }
  static CINEFUSE_INLINE bool narrow(int cols, int first) { return cols - first <= W; }
  static CINEFUSE_INLINE const float* scale(const float* scales, int n) { return scales + n; }
  static CINEFUSE_INLINE V scaled(V sum, const float* scale) { return sum * load(scale); }
};

// Adds the sums of one row to c, as far as there are columns.
template <class S, int N>
CINEFUSE_INLINE void finish(const V* sum, int cols, const float* scale, const float* start, float* c) {
  const float* const from = start ? start : c;
#pragma GCC unroll 8
  for (int v = 0; v < N; ++v) {
    const int n = S::template column<N>(v);
    const V s = S::scaled(sum[v], S::scale(scale, n));
    if (cols - n >= W) {
      store(c + n, load(from + n) + s);
    } else {
      float part[W];
      store(part, s);
      for (int i = 0; i < cols - n; ++i) c[n + i] = from[n + i] + part[i];
    }
  }
}

// One register tile of M rows and N vectors over kc k's: one chain of multiply-adds an element, k ascending.
// The weights `ahead` bytes on are asked for meanwhile.
template <class S, int M, int N>
void tile_m(int cols, int kc, const float* a, const typename S::Element* b, const float* scale,
            const float* start, float* c, long ldc, long ahead) {
  V sum[M][N];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) sum[m][v] = V{};
  }
#pragma GCC unroll 2
  for (int k = 0; k < kc; ++k, a += MR, b += kPanel) {
    const char* const next = reinterpret_cast<const char*>(b) + ahead;
    __builtin_prefetch(next, 0, 2);
    if (N * W * sizeof(*b) > 64) __builtin_prefetch(next + 64, 0, 2);
    V w[N];
    S::template read<N>(b, w);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sum[m][v] += w[v] * a[m];
    }
  }
  for (int m = 0; m < M; ++m) finish<S, N>(sum[m], cols, scale, start, c + m * ldc);
}

template <class S, int M>
void tile_columns(int cols, int kc, const float* a, const typename S::Element* b, const float* scale,
                  const float* start, float* c, long ldc, long ahead) {
  for (int step = 0, n = 0; step < kPanel / NR && n < cols; n = S::template first<NV>(++step)) {
    const float* const s = start ? start + n : nullptr;
    if (S::narrow(cols, n)) {
      tile_m<S, M, 1>(cols - n, kc, a, b + step * NR, S::scale(scale, n), s, c + n, ldc, ahead);
    } else {
      tile_m<S, M, NV>(cols - n, kc, a, b + step * NR, S::scale(scale, n), s, c + n, ldc, ahead);
    }
  }
}

template <class S>
void tile_rows(int rows, int cols, int kc, const float* a, const void* weights, const float* scale,
               const float* start, float* c, long ldc, long ahead) {
  const typename S::Element* const b = static_cast<const typename S::Element*>(weights);
  switch (rows) {
#define CINEFUSE_ROWS(n)                                                             \
  case n:                                                                            \
    tile_columns<S, (n <= MR ? n : 1)>(cols, kc, a, b, scale, start, c, ldc, ahead); \
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

// Panels of stored weights follow one another; from the shared cache or memory they would be waited for.
template <class S>
void tile(int rows, int cols, int kc, const float* a, const void* b, const float* scale, const float* start,
          float* c, long ldc) {
  constexpr long kAhead = 8192;
  tile_rows<S>(rows, cols, kc, a, b, scale, start, c, ldc, kAhead);
}

void tile_floats(int rows, int cols, int kc, const float* a, const float* b, const float* start, float* c,
                 long ldc) {
  tile_rows<Floats>(rows, cols, kc, a, b, nullptr, start, c, ldc, 0);
}

// Few rows: the weights are a stream read once, so as many panels as the registers hold go side by side.
// Their many chains hide the latency that unrolling k would hide, and keep the order of the sum.
template <class S, int M, int P, int N>
CINEFUSE_INLINE void thin_m(int cols, int kc, const float* const* a, const typename S::Element* b,
                            const float* scale, const float* start, float* c, long ldc) {
  const long panel = long{kPanel} * kc;
  V sum[P][M][N];
  const float* row[M];
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) {
    row[m] = a[m];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sum[p][m][v] = V{};
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < kc; ++k, b += kPanel) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      V w[N];
      S::template read<N>(b + p * panel, w);
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) sum[p][m][v] += w[v] * row[m][k];
      }
    }
  }
  for (int p = 0; p < P; ++p) {
    const int n = p * kPanel;
    for (int m = 0; m < M; ++m) {
      finish<S, N>(sum[p][m], cols - n, S::scale(scale, n), start ? start + n : nullptr, c + m * ldc + n);
    }
  }
}

template <int N>
struct Count {
  static constexpr int value = N;
};

template <class S, int M>
void thin_columns(int cols, int kc, const float* const* a, const typename S::Element* b, const float* scale,
                  const float* start, float* c, long ldc) {
  // At most 12 accumulating registers where there are 16, and 24 where there are 32.
  constexpr int kMost = W == 16 ? 24 : 12;
  constexpr int N = kVectors * M <= kMost       ? kVectors
                    : kVectors * M <= 2 * kMost ? kVectors / 2
                                                : kVectors / 4;
  constexpr int kSide = N < kVectors ? 1 : 4 * N * M <= kMost ? 4 : 2 * N * M <= kMost ? 2 : 1;
  const auto side_by_side = [&](auto count) {
    constexpr int P = decltype(count)::value;
    for (; cols > (P - 1) * kPanel; cols -= P * kPanel) {
      thin_m<S, M, P, kVectors>(cols, kc, a, b, scale, start, c, ldc);
      b += long{P} * kPanel * kc;
      scale = S::scale(scale, P * kPanel);
      c += P * kPanel;
      if (start) start += P * kPanel;
    }
  };
  if (kSide > 2) side_by_side(Count<kSide>{});
  if (kSide > 1) side_by_side(Count<2>{});
  for (; cols > 0; cols -= kPanel) {
    for (int step = 0, n = 0; step < kVectors / N && n < cols; n = S::template first<N>(++step)) {
      const float* const s = start ? start + n : nullptr;
      if (S::narrow(cols, n)) {
        thin_m<S, M, 1, 1>(cols - n, kc, a, b + step * N * W, S::scale(scale, n), s, c + n, ldc);
      } else {
        thin_m<S, M, 1, N>(cols - n, kc, a, b + step * N * W, S::scale(scale, n), s, c + n, ldc);
      }
    }
    b += long{kPanel} * kc;
    scale = S::scale(scale, kPanel);
    c += kPanel;
    if (start) start += kPanel;
  }
}

template <class S>
void thin(int rows, int cols, int kc, const float* const* a, const void* weights, const float* scale,
          const float* start, float* c, long ldc) {
  const typename S::Element* const b = static_cast<const typename S::Element*>(weights);
  switch (rows) {
    case 1:
      thin_columns<S, 1>(cols, kc, a, b, scale, start, c, ldc);
      break;
    case 2:
      thin_columns<S, 2>(cols, kc, a, b, scale, start, c, ldc);
      break;
    case 3:
      thin_columns<S, 3>(cols, kc, a, b, scale, start, c, ldc);
      break;
    case 4:
      thin_columns<S, 4>(cols, kc, a, b, scale, start, c, ldc);
      break;
  }
}

typedef float F4 __attribute__((vector_size(16), aligned(4), may_alias));
#if defined(__clang__)
#define CINEFUSE_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int I4 __attribute__((vector_size(16)));
#define CINEFUSE_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, I4{i, j, k, l})
#endif

void transpose(int rows, int kc, const float* from, long ld, float* to, long stride) {
  int r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float *p0 = from + r * ld, *p1 = p0 + ld, *p2 = p1 + ld, *p3 = p2 + ld;
    float* q = to + r;
    int k = 0;
    for (; k + 4 <= kc; k += 4, q += 4 * stride) {
      const F4 a = *reinterpret_cast<const F4*>(p0 + k), b = *reinterpret_cast<const F4*>(p1 + k);
      const F4 c = *reinterpret_cast<const F4*>(p2 + k), d = *reinterpret_cast<const F4*>(p3 + k);
      const F4 ab0 = CINEFUSE_SHUFFLE(a, b, 0, 4, 1, 5), ab1 = CINEFUSE_SHUFFLE(a, b, 2, 6, 3, 7);
      const F4 cd0 = CINEFUSE_SHUFFLE(c, d, 0, 4, 1, 5), cd1 = CINEFUSE_SHUFFLE(c, d, 2, 6, 3, 7);
      *reinterpret_cast<F4*>(q) = CINEFUSE_SHUFFLE(ab0, cd0, 0, 1, 4, 5);
      *reinterpret_cast<F4*>(q + stride) = CINEFUSE_SHUFFLE(ab0, cd0, 2, 3, 6, 7);
      *reinterpret_cast<F4*>(q + 2 * stride) = CINEFUSE_SHUFFLE(ab1, cd1, 0, 1, 4, 5);
      *reinterpret_cast<F4*>(q + 3 * stride) = CINEFUSE_SHUFFLE(ab1, cd1, 2, 3, 6, 7);
    }
    for (; k < kc; ++k, q += stride) {
      q[0] = p0[k];
      q[1] = p1[k];
      q[2] = p2[k];
      q[3] = p3[k];
    }
  }
  for (; r < rows; ++r) {
    for (int k = 0; k < kc; ++k) to[k * stride + r] = from[r * ld + k];
  }
}

void add(long n, const float* a, float* c) {
  long i = 0;
  for (; i + W <= n; i += W) store(c + i, load(c + i) + load(a + i));
  for (; i < n; ++i) c[i] += a[i];
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(GemmSimd, gemm_simd) = {
    MR,
    tile_floats,
    {{tile<Floats>, thin<Floats>}, {tile<Bfloats>, thin<Bfloats>}, {tile<Bytes>, thin<Bytes>}},
    transpose,
    add};
}
