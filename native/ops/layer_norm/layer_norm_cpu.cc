#include <algorithm>

#include "../../core/pool.h"
#include "layer_norm.h"
#include "layer_norm_simd.h"

namespace cinefuse {

void layer_norm_row(int64_t cols, float eps, const float* x, const float* gain, const float* bias, float* y,
                    Isa isa) {
  layer_norm_simd(isa).row(cols, eps, x, gain, bias, y);
}

void layer_norm_cpu(const LayerNormParams& p, const Exec& exec) {
  constexpr int64_t kChunk = 32768;  // floats a task: some tens of microseconds
  const int64_t rows_a_task = std::max<int64_t>(1, kChunk / p.cols);
  parallel_for(exec, static_cast<int>((p.rows + rows_a_task - 1) / rows_a_task), [&](int task) {
    const int64_t end = std::min(p.rows, (task + 1) * rows_a_task);
    for (int64_t r = task * rows_a_task; r < end; ++r) {
      layer_norm_row(p.cols, p.eps, p.x + r * p.cols, p.gain, p.bias, p.y + r * p.cols, exec.isa);
    }
  });
}

}  // namespace cinefuse
