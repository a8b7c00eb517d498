#include "lines_simd.h"

#include "../simd.h"
#include "gemm_simd.h"

namespace {

using cinefuse::kPanel;
#if CINEFUSE_W == 16
constexpr int MR = 12;
#else
constexpr int MR = 6;
#endif
constexpr int NV = 2;
constexpr int NR = NV * W;
constexpr int kLine = 16;            // floats of a cache line
constexpr int kWeightsAhead = 2048;  // floats of b that are asked for early

template <int M, int N>
CINEFUSE_INLINE void step(const float* const (&a)[4], long lda, int k, const float* b, V (&sum)[M][N]) {
  V w[N];
#pragma GCC unroll 2
  for (int v = 0; v < N; ++v) w[v] = load(b + v * W);
    // Four pointers, three rows each: base and index registers reach all twelve.
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) {
    const float x = a[m / 3][m % 3 * lda + k];
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) sum[m][v] += w[v] * x;
  }
}

template <int M, int N>
void tile_m(int left, int kc, const float* from, long lda, const float* b, const float* start, float* c,
            long ldc, const float* ahead, int ahead_rows) {
  V sum[M][N];
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) sum[m][v] = V{};
  }
  const float* a[4] = {from, M > 3 ? from + 3 * lda : from, M > 6 ? from + 6 * lda : from,
                       M > 9 ? from + 9 * lda : from};
  int k = 0;
  for (; k + kLine <= kc; k += kLine) {
    for (int i = 0; i < ahead_rows; ++i) __builtin_prefetch(ahead + i * lda + k, 0, 2);
    for (int i = 0; i < kLine; i += 4) {
#pragma GCC unroll 8
      for (int line = 0; line < 4 * kPanel / kLine; ++line) {
        __builtin_prefetch(b + kWeightsAhead + line * kLine, 0, 2);
      }
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j, b += kPanel) step<M, N>(a, lda, j, b, sum);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) a[j] += 4;
    }
  }
  for (; k < kc; ++k, b += kPanel) {
    step<M, N>(a, lda, 0, b, sum);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) ++a[j];
  }
  if (left >= N * W) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m, c += ldc) {
#pragma GCC unroll 2
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

template <int M>
void tile_columns(int cols, int kc, const float* a, long lda, const float* b, const float* start, float* c,
                  long ldc, const float* ahead, int ahead_rows) {
  for (int n = 0; n < cols; n += NR, ahead_rows = 0) {
    const float* const s = start ? start + n : nullptr;
    if (cols - n > W) {
      tile_m<M, NV>(cols - n, kc, a, lda, b + n, s, c + n, ldc, ahead, ahead_rows);
    } else {
      tile_m<M, 1>(cols - n, kc, a, lda, b + n, s, c + n, ldc, ahead, ahead_rows);
    }
  }
}

void tile(int rows, int cols, int kc, const float* a, long lda, const float* b, const float* start, float* c,
          long ldc, const float* ahead, int ahead_rows) {
  switch (rows) {
#define CINEFUSE_ROWS(n)                                                                    \
  case n:                                                                                   \
    tile_columns<(n <= MR ? n : 1)>(cols, kc, a, lda, b, start, c, ldc, ahead, ahead_rows); \
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

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(LinesSimd, lines_simd) = {tile};
}
