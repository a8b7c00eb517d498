// C = A · B (+ bias) on the device in float32 throughout, for matrices that change with every call, as in
// training: nothing is made ready beforehand. Each sum is a chain of multiply-adds over at most 256 k's;
// these join in order, so the same call gives the same bits. NaN and infinity in A or B show in the rows and
// columns that they belong to, and in no others. Launches and scratch only: it may be captured in a graph.
#pragma once
#include "device.h"

namespace cinefuse::gpu {

// Element (i, j) of a matrix in device memory: data[i * stride + j], or data[j * stride + i] where `turned`.
struct Operand {
  const float* data;
  int64_t stride;
  bool turned;
};

// a: (rows, inner), b: (inner, columns), bias: (columns) or null, c: (rows, columns), row r at c + r * ldc,
// apart from a and b. inner may be 0.
void multiply(int64_t rows, int64_t columns, int64_t inner, const Operand& a, const Operand& b,
              const float* bias, float* c, int64_t ldc, Call& call);

// sums[j] = Σ_rows x[r][j], in a fixed order. x: (rows, cols); rows may be 0.
void column_sums(int64_t rows, int64_t cols, const float* x, float* sums, Call& call);
// sums[j] = Σ of parts[i][j] over i in order, `n` columns.
void add_parts(int64_t parts, int64_t n, const float* from, float* sums, Call& call);

}  // namespace cinefuse::gpu
