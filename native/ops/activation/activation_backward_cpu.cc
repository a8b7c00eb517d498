#include <algorithm>

#include "../../core/pool.h"
#include "activation_backward.h"
#include "activation_backward_simd.h"

namespace cinefuse {

void activation_backward_cpu(const ActivationGradients& p, const Exec& exec) {
  const ActivationBackwardSimd& simd = activation_backward_simd(exec.isa);
  constexpr int64_t kChunk = 16384;  // floats a task: some tens of microseconds
  if (p.kind == Activation::kSoftmax || p.kind == Activation::kLogSoftmax) {
    const bool log = p.kind == Activation::kLogSoftmax;
    const int64_t rows_a_task = std::max<int64_t>(1, kChunk / std::max<int64_t>(p.cols, 1));
    parallel_for(exec, static_cast<int>((p.rows + rows_a_task - 1) / rows_a_task), [&](int task) {
      const int64_t end = std::min(p.rows, (task + 1) * rows_a_task);
      for (int64_t r = task * rows_a_task; r < end; ++r) {
        simd.softmax(log, p.cols, p.y + r * p.cols, p.dy + r * p.cols, p.dx + r * p.cols);
      }
    });
    return;
  }
  const int64_t n = p.rows * p.cols;
  parallel_for(exec, static_cast<int>((n + kChunk - 1) / kChunk), [&](int task) {
    const int64_t i = task * kChunk;
    simd.elementwise(static_cast<int>(p.kind), p.slope, std::min(kChunk, n - i), p.x + i, p.y + i, p.dy + i,
                     p.dx + i);
  });
}

}  // namespace cinefuse
