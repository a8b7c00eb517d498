#include "low_rank_fusion_backward.h"

namespace cinefuse {

void low_rank_fusion_forward_cpu(const LowRankShape& shape, const FusionInputs& inputs,
                                 const LowRankWeights& weights, float* y, float* saved, const Exec& exec);
void low_rank_fusion_backward_cpu(const LowRankShape& shape, const FusionInputs& inputs,
                                  const LowRankWeights& weights, const float* saved,
                                  const LowRankGradients& gradients, const Exec& exec);

namespace {
void require_cpu(const Exec& exec) {
  CINEFUSE_REQUIRE(exec.backend == Backend::kCpu, Code::kBackend, "device",
                   "The gradients of low-rank fusion run on the CPU only so far");
}
}  // namespace

size_t low_rank_fusion_saved(const LowRankShape& shape, int64_t rows) {
  return static_cast<size_t>(shape.dims.modes * rows * shape.rank * shape.out);
}

void low_rank_fusion_forward(const LowRankShape& shape, const FusionInputs& inputs,
                             const LowRankWeights& weights, float* y, float* saved, const Exec& exec) {
  require_cpu(exec);
  low_rank_fusion_forward_cpu(shape, inputs, weights, y, saved, exec);
}

void low_rank_fusion_backward(const LowRankShape& shape, const FusionInputs& inputs,
                              const LowRankWeights& weights, const float* saved,
                              const LowRankGradients& gradients, const Exec& exec) {
  require_cpu(exec);
  low_rank_fusion_backward_cpu(shape, inputs, weights, saved, gradients, exec);
}

}  // namespace cinefuse
