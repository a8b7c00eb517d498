#pragma once

namespace cinefuse {

constexpr int kPanel = 32;    // columns that lie together in a packed matrix, whatever the instruction set
constexpr int kThinRows = 4;  // up to so many rows are read where they lie, instead of being packed

// Products with one way of storing weights: `b` is as PackedMatrix lays it out, `scale` only for integers.
struct StoredSimd {
  // c[r][n] = (start ? start[n] : c[r][n]) + scale[n] * sum_k a(r, k) * b(n, k)  for r < rows, n < cols <=
  // kPanel. A packed: a(r, k) = a[k * tile_rows + r], rows <= tile_rows.
  void (*tile)(int rows, int cols, int kc, const float* a, const void* b, const float* scale,
               const float* start, float* c, long ldc);
  // A in rows: a(r, k) = a[r][k], rows <= kThinRows; any number of panels, one after the other.
  void (*thin)(int rows, int cols, int kc, const float* const* a, const void* b, const float* scale,
               const float* start, float* c, long ldc);
};

struct GemmSimd {
  int tile_rows;  // height of the register tile, and stride of a packed A tile

  // `tile` of floats: b(n, k) = b[k * kPanel + n].
  void (*tile)(int rows, int cols, int kc, const float* a, const float* b, const float* start, float* c,
               long ldc);
  StoredSimd stored[3];  // by WeightType
  // to[k * stride + r] = from[r * ld + k] for r < rows, k < kc
  void (*transpose)(int rows, int kc, const float* from, long ld, float* to, long stride);
  // c[n] += a[n]
  void (*add)(long n, const float* a, float* c);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(GemmSimd, gemm_simd)
}
#endif
