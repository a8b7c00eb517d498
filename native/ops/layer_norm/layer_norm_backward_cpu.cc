#include <algorithm>
#include <vector>

#include "../../core/gemm/gemm_simd.h"
#include "../../core/pool.h"
#include "layer_norm_backward.h"
#include "layer_norm_backward_simd.h"

namespace cinefuse {

void layer_norm_backward_cpu(const LayerNormGradients& p, const Exec& exec) {
  const LayerNormBackwardSimd& simd = layer_norm_backward_simd(exec.isa);
  // Rows a task, whatever the threads: each task has sums of its own, which are added up in order.
  const int64_t rows_a_task = std::max<int64_t>({1, 16384 / p.cols, (p.rows + 31) / 32});
  const int64_t tasks = (p.rows + rows_a_task - 1) / rows_a_task;
  const size_t cols = static_cast<size_t>(p.cols);
  const size_t wanted = (p.dgain ? 1u : 0u) + (p.dbias ? 1u : 0u);
  std::vector<float> sums(wanted * cols * static_cast<size_t>(tasks), 0.f);
  parallel_for(exec, static_cast<int>(tasks), [&](int task) {
    float* const own = sums.data() + wanted * cols * static_cast<size_t>(task);
    float* const dgain = p.dgain ? own : nullptr;
    float* const dbias = p.dbias ? own + (p.dgain ? cols : 0) : nullptr;
    const int64_t end = std::min(p.rows, (task + 1) * rows_a_task);
    for (int64_t r = task * rows_a_task; r < end; ++r) {
      simd.row(p.cols, p.eps, p.x + r * p.cols, p.gain, p.dy + r * p.cols, p.dx ? p.dx + r * p.cols : nullptr,
               dgain, dbias);
    }
  });
  const GemmSimd& add = gemm_simd(exec.isa);
  float* const results[] = {p.dgain, p.dbias};
  size_t at = 0;
  for (float* result : results) {
    if (!result) continue;
    std::fill_n(result, cols, 0.f);
    for (size_t task = 0; task < static_cast<size_t>(tasks); ++task) {
      add.add(p.cols, sums.data() + (wanted * task + at) * cols, result);
    }
    ++at;
  }
}

}  // namespace cinefuse
