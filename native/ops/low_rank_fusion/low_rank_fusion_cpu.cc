#include <algorithm>

#include "../../core/pool.h"
#include "low_rank_fusion.h"
#include "low_rank_fusion_simd.h"

namespace cinefuse {
namespace {

int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

// Rows [first, first + count): every modality's projections of all ranks side by side, then their products.
void rows(const LowRankFusion& layer, const FusionInputs& in, int64_t first, int64_t count, float* y,
          const Exec& exec) {
  const LowRankFusionSimd& simd = low_rank_fusion_simd(exec.isa);
  const int modes = layer.dims.modes;
  const int64_t width = layer.rank * layer.out;
  float* projected = thread_scratch(kFusionScratch, static_cast<size_t>(modes * count * width));
  for (int m = 0; m < modes; ++m) {
    const size_t i = static_cast<size_t>(m);
    const int64_t d = layer.dims.d[i];
    const uint8_t* present = in.present ? in.present + first * modes + m : nullptr;
    gemm(exec, count, MatrixRows{in.h[i] + first * d, d, present, modes}, layer.factors[i],
         Epilogue{layer.ones[i].data()}, projected + m * count * width, width);
  }
  for (int64_t r = 0; r < count; ++r) {
    float* to = y + (first + r) * layer.out;
    simd.combine(modes, layer.rank, layer.out, projected + r * width, count * width,
                 layer.rank_weights.data(), layer.bias.data(), to);
    activation_apply(layer.activation, layer.slope, layer.out, to, to, exec.isa);
  }
}

}  // namespace

void low_rank_fusion_cpu(const LowRankFusion& layer, const FusionInputs& in, float* y, const Exec& exec) {
  constexpr int64_t kFewRows = 12, kManyRows = 96;
  // So many rows that their projections stay in L2.
  const int64_t width = layer.rank * layer.out * layer.dims.modes;
  const int64_t most = std::clamp<int64_t>((int64_t{1} << 17) / width, kFewRows, kManyRows);
  // As many tasks for each thread, of as many rows.
  const int64_t waves = std::max<int64_t>(1, ceil_div(in.rows, most * exec.threads));
  const int64_t share = std::clamp<int64_t>(ceil_div(in.rows, waves * exec.threads), kFewRows, most);
  const int64_t tasks = ceil_div(in.rows, share);
  if (tasks <= 1) {
    rows(layer, in, 0, in.rows, y, exec);  // few rows: the products themselves use the threads
    return;
  }
  Exec alone = exec;
  alone.threads = 1;
  parallel_for(exec, static_cast<int>(tasks), [&](int task) {
    const int64_t first = task * share;
    rows(layer, in, first, std::min(share, in.rows - first), y, alone);
  });
}

}  // namespace cinefuse
