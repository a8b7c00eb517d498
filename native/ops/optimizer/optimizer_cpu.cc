#include <algorithm>
#include <vector>

#include "../../core/pool.h"
#include "optimizer.h"
#include "optimizer_simd.h"

namespace cinefuse {

constexpr int64_t kChunk = 16384;  // numbers a task

void optimizer_step_cpu(const OptimizerParams& params, int64_t n, float* p, const float* g, float* m,
                        float* v, const Exec& exec) {
  const OptimizerStep step = optimizer_step_of(params);
  const OptimizerSimd& simd = optimizer_simd(exec.isa);
  const bool sgd = params.kind == OptimizerKind::kSgd;
  float* const velocity = params.momentum > 0.f ? m : nullptr;
  parallel_for(exec, static_cast<int>((n + kChunk - 1) / kChunk), [&](int task) {
    const int64_t i = task * kChunk, count = std::min(kChunk, n - i);
    if (sgd) {
      simd.sgd(&step, count, p + i, g + i, velocity ? velocity + i : nullptr);
    } else {
      simd.adam(&step, count, p + i, g + i, m + i, v + i);
    }
  });
}

double squared_norm_cpu(int64_t n, const float* g, const Exec& exec) {
  const OptimizerSimd& simd = optimizer_simd(exec.isa);
  std::vector<double> parts(static_cast<size_t>((n + kChunk - 1) / kChunk));
  parallel_for(exec, static_cast<int>(parts.size()), [&](int task) {
    const int64_t i = task * kChunk;
    parts[static_cast<size_t>(task)] = simd.squared_norm(std::min(kChunk, n - i), g + i);
  });
  double sum = 0.;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace cinefuse
