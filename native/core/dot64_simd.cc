#include "dot64_simd.h"

#include "simd.h"

namespace {

constexpr int D = W / 2;  // doubles in a vector
typedef double VD __attribute__((vector_size(CINEFUSE_W * 4), aligned(8), may_alias));
typedef float VH __attribute__((vector_size(CINEFUSE_W * 2), aligned(4), may_alias));

#if CINEFUSE_W == 16
constexpr int MR = 4, NR = 4;
#else
constexpr int MR = 3, NR = 4;  // 12 of 16 registers accumulate
#endif

CINEFUSE_INLINE VD load_d(const double* p) { return *reinterpret_cast<const VD*>(p); }

CINEFUSE_INLINE double sum_of(VD v) {
  double s[D];
  *reinterpret_cast<VD*>(s) = v;
  for (int step = D / 2; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) s[i] += s[i + step];
  }
  return s[0];
}

template <int M, int N>
void tile(long depth, const double* a, long lda, const double* b, long ldb, double sign, double* c,
          long ldc) {
  VD sum[M][N];
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) sum[i][j] = VD{};
  }
  long k = 0;
  for (; k + D <= depth; k += D) {
    VD w[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) w[j] = load_d(b + j * ldb + k);
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) {
      const VD x = load_d(a + i * lda + k);
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) sum[i][j] += x * w[j];
    }
  }
  for (int i = 0; i < M; ++i) {
    for (int j = 0; j < N; ++j) {
      double s = sum_of(sum[i][j]);
      for (long t = k; t < depth; ++t) s += a[i * lda + t] * b[j * ldb + t];
      c[i * ldc + j] += sign * s;
    }
  }
}

template <int M>
void row_of_tiles(long cols, long depth, const double* a, long lda, const double* b, long ldb, double sign,
                  double* c, long ldc) {
  long j = 0;
  for (; j + NR <= cols; j += NR) tile<M, NR>(depth, a, lda, b + j * ldb, ldb, sign, c + j, ldc);
  for (; j < cols; ++j) tile<M, 1>(depth, a, lda, b + j * ldb, ldb, sign, c + j, ldc);
}

void dots(long rows, long cols, long depth, const double* a, long lda, const double* b, long ldb, double sign,
          double* c, long ldc) {
  long i = 0;
  for (; i + MR <= rows; i += MR)
    row_of_tiles<MR>(cols, depth, a + i * lda, lda, b, ldb, sign, c + i * ldc, ldc);
  for (; i < rows; ++i) row_of_tiles<1>(cols, depth, a + i * lda, lda, b, ldb, sign, c + i * ldc, ldc);
}

void axpy(long n, double a, const double* x, double* y) {
  long i = 0;
  for (; i + D <= n; i += D) *reinterpret_cast<VD*>(y + i) = load_d(y + i) + load_d(x + i) * a;
  for (; i < n; ++i) y[i] += a * x[i];
}

void widen(long n, const float* from, double* to) {
  long i = 0;
  for (; i + D <= n; i += D) {
    *reinterpret_cast<VD*>(to + i) = __builtin_convertvector(*reinterpret_cast<const VH*>(from + i), VD);
  }
  for (; i < n; ++i) to[i] = from[i];
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(Dot64Simd, dot64_simd) = {dots, axpy, widen};
}
