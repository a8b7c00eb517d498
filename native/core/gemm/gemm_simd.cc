#include "gemm_simd.h"

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

// Adds the sums to c. `left` columns are there; a whole tile of N vectors goes by vectors.
template <int M, int N>
CINEFUSE_INLINE void finish(const V (&sum)[M][N], int left, const float* start, float* c, long ldc) {
  if (left >= N * W) {
    for (int m = 0; m < M; ++m, c += ldc) {
      for (int v = 0; v < N; ++v) store(c + v * W, load((start ? start : c) + v * W) + sum[m][v]);
    }
    return;
  }
  for (int m = 0; m < M; ++m, c += ldc) {
    float s[N * W];
    for (int v = 0; v < N; ++v) store(s + v * W, sum[m][v]);
    for (int n = 0; n < left; ++n) c[n] = (start ? start[n] : c[n]) + s[n];
  }
}

// One register tile of M rows and N vectors over kc k's: one chain of multiply-adds an element, k ascending.
template <int M, int N>
void tile_m(int left, int kc, const float* a, const float* b, const float* start, float* c, long ldc) {
  V sum[M][N];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) sum[m][v] = V{};
  }
#pragma GCC unroll 2
  for (int k = 0; k < kc; ++k, a += MR, b += kPanel) {
    V w[N];
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) w[v] = load(b + v * W);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sum[m][v] += w[v] * a[m];
    }
  }
  finish<M, N>(sum, left, start, c, ldc);
}

template <int M>
void tile_columns(int cols, int kc, const float* a, const float* b, const float* start, float* c, long ldc) {
  for (int n = 0; n < cols; n += NR) {
    const float* s = start ? start + n : nullptr;
    if (cols - n > W) {
      tile_m<M, NV>(cols - n, kc, a, b + n, s, c + n, ldc);
    } else {
      tile_m<M, 1>(cols - n, kc, a, b + n, s, c + n, ldc);
    }
  }
}

void tile(int rows, int cols, int kc, const float* a, const float* b, const float* start, float* c,
          long ldc) {
  switch (rows) {
#define CINEFUSE_ROWS(n)                                            \
  case n:                                                           \
    tile_columns<(n <= MR ? n : 1)>(cols, kc, a, b, start, c, ldc); \
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

// Few rows: the weights are a stream read once, so as much of a panel as the registers hold goes at a time.
// Many chains side by side hide the latency that unrolling k would hide, and keep the order of the sum.
template <int M, int N>
CINEFUSE_INLINE void thin_m(int left, int kc, const float* const* a, const float* b, const float* start,
                            float* c, long ldc) {
  V sum[M][N];
  const float* row[M];
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) {
    row[m] = a[m];
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) sum[m][v] = V{};
  }
#pragma GCC unroll 4
  for (int k = 0; k < kc; ++k, b += kPanel) {
    V w[N];
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) w[v] = load(b + v * W);
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sum[m][v] += w[v] * row[m][k];
    }
  }
  finish<M, N>(sum, left, start, c, ldc);
}

template <int M>
void thin_columns(int cols, int kc, const float* const* a, const float* b, const float* start, float* c,
                  long ldc) {
  // At most 12 accumulating registers where there are 16.
  constexpr int N = kVectors * M <= 12 ? kVectors : kVectors * M <= 24 ? kVectors / 2 : kVectors / 4;
  for (int n = 0; n < cols; n += N * W) {
    const float* s = start ? start + n : nullptr;
    if (cols - n > W) {
      thin_m<M, N>(cols - n, kc, a, b + n, s, c + n, ldc);
    } else {
      thin_m<M, 1>(cols - n, kc, a, b + n, s, c + n, ldc);
    }
  }
}

void thin(int rows, int cols, int kc, const float* const* a, const float* b, const float* start, float* c,
          long ldc) {
  switch (rows) {
    case 1:
      thin_columns<1>(cols, kc, a, b, start, c, ldc);
      break;
    case 2:
      thin_columns<2>(cols, kc, a, b, start, c, ldc);
      break;
    case 3:
      thin_columns<3>(cols, kc, a, b, start, c, ldc);
      break;
    case 4:
      thin_columns<4>(cols, kc, a, b, start, c, ldc);
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
CINEFUSE_SIMD_DEFINE(GemmSimd, gemm_simd) = {MR, tile, thin, transpose, add};
}
