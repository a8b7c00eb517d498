// Products of operands split into two bfloat16 parts each, x = high + low + at most 2^-17 |x|:
//   a · b ≈ a_low · b_high + a_high · b_low + a_high · b_high, summed in float32,
// some 5e-6 of the largest result, for CPUs whose bfloat16 products are faster than their float32 ones: AMX
// does 16 times as many a cycle. Subnormal parts count as zeros; magnitudes above 3.39e38 as infinite.
//
// AMX where the CPU and the operating system let this process have it, else AVX512-BF16 (which is no faster
// than float32 on the CPUs that have it: there for the same results).
#pragma once
#include "gemm.h"

namespace cinefuse {

enum class Bf16x3Path { kNone, kDot, kTiles, kSoftwareTiles };
// Of this CPU, this build and `exec`'s instruction set.
Bf16x3Path bf16x3_path(const Exec& exec);

// Row blocks [b0, b1) by panels [p0, p1) of the product, without the epilogue's function. W in float32.
// Scratch: kGemmScratch and the one after.
void bf16x3_rectangle(const Exec& exec, const RowBlocks& blocks, const RowSource& a, const PackedMatrix& w,
                      const float* bias, int b0, int b1, int p0, int p1, float* c, int64_t ldc);

}  // namespace cinefuse
