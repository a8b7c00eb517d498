#include <algorithm>

#include "../../core/pool.h"
#include "activation.h"
#include "activation_simd.h"

namespace cinefuse {

void activation_apply(Activation kind, float slope, int64_t n, const float* x, float* y, Isa isa) {
  activation_simd(isa).elementwise(static_cast<int>(kind), slope, n, x, y);
}

Epilogue activation_epilogue(const float* bias, Activation kind, float slope, Isa isa) {
  if (kind == Activation::kNone) return {bias};
  return {bias, activation_simd(isa).elementwise, static_cast<int>(kind), slope};
}

void activation_cpu(const ActivationParams& p, const Exec& exec) {
  const ActivationSimd& simd = activation_simd(exec.isa);
  constexpr int64_t kChunk = 16384;  // floats a task: some tens of microseconds, two buffers within L2
  if (p.kind == Activation::kSoftmax || p.kind == Activation::kLogSoftmax) {
    const bool log = p.kind == Activation::kLogSoftmax;
    const int64_t rows_a_task = std::max<int64_t>(1, kChunk / std::max<int64_t>(p.cols, 1));
    const int64_t tasks = (p.rows + rows_a_task - 1) / rows_a_task;
    parallel_for(exec, static_cast<int>(tasks), [&](int task) {
      const int64_t end = std::min(p.rows, (task + 1) * rows_a_task);
      for (int64_t r = task * rows_a_task; r < end; ++r) {
        simd.softmax(log, p.cols, p.x + r * p.cols, p.y + r * p.cols);
      }
    });
    return;
  }
  const int64_t n = p.rows * p.cols;
  parallel_for(exec, static_cast<int>((n + kChunk - 1) / kChunk), [&](int task) {
    const int64_t begin = task * kChunk;
    simd.elementwise(static_cast<int>(p.kind), p.slope, std::min(kChunk, n - begin), p.x + begin,
                     p.y + begin);
  });
}

}  // namespace cinefuse
