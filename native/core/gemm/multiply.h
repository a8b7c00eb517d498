// C = A · B (+ bias) in float32 for matrices that change with every call, as in training: nothing is made
// ready beforehand, both operands are packed on the way, a stretch that fits the cache at a time.
//
// Every element is summed as gemm.h says, (bias + s_0) + s_1 + ...: the same bits as gemm of the same
// operands, on any number of threads, and rows and columns do not touch each other. Scratch: thread_scratch,
// slots kGemmScratch and kGemmScratch + 1 of every thread involved.
#pragma once
#include <cstdint>

#include "../exec.h"

namespace cinefuse {

// Element (i, j) of a matrix in memory: data[i * stride + j], or data[j * stride + i] where `turned`.
struct Operand {
  const float* data;
  int64_t stride;
  bool turned;
};

// a: (rows, inner), b: (inner, columns), bias: (columns) or null, c: (rows, columns), row r at c + r * ldc,
// apart from a and b. inner may be 0.
void multiply(const Exec& exec, int64_t rows, int64_t columns, int64_t inner, const Operand& a,
              const Operand& b, const float* bias, float* c, int64_t ldc);

}  // namespace cinefuse
