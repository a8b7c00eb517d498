#include <algorithm>

#include "../../core/gemm/gemm_simd.h"
#include "../../core/gemm/multiply.h"
#include "../../core/pool.h"
#include "linear_backward.h"

namespace cinefuse {
namespace {

// out[j] = Σ_rows dy[r][j], rows in blocks whose sums are added in order: a long column loses no accuracy.
void column_sums(const LinearShape& s, const float* dy, float* sums, const Exec& exec) {
  constexpr int64_t kColumns = 512, kRows = 64;
  const GemmSimd& simd = gemm_simd(exec.isa);
  parallel_for(exec, static_cast<int>((s.out + kColumns - 1) / kColumns), [&](int task) {
    const int64_t first = task * kColumns, n = std::min(kColumns, s.out - first);
    float block[kColumns];
    std::fill_n(sums + first, n, 0.f);
    for (int64_t r0 = 0; r0 < s.rows; r0 += kRows) {
      std::fill_n(block, n, 0.f);
      for (int64_t r = r0; r < std::min(s.rows, r0 + kRows); ++r) simd.add(n, dy + r * s.out + first, block);
      simd.add(n, block, sums + first);
    }
  });
}

}  // namespace

void linear_forward_cpu(const LinearShape& s, const float* x, const float* W, const float* b, float* y,
                        const Exec& exec) {
  multiply(exec, s.rows, s.out, s.in, {x, s.in, false}, {W, s.in, true}, b, y, s.out);
}

void linear_backward_cpu(const LinearShape& s, const LinearGradients& g, const Exec& exec) {
  if (g.dx) {
    multiply(exec, s.rows, s.in, s.out, {g.dy, s.out, false}, {g.W, s.in, false}, nullptr, g.dx, s.in);
  }
  if (g.dW) {
    multiply(exec, s.out, s.in, s.rows, {g.dy, s.out, true}, {g.x, s.in, false}, nullptr, g.dW, s.in);
  }
  if (g.db) column_sums(s, g.dy, g.db, exec);
}

}  // namespace cinefuse
