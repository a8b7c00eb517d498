#include "low_rank_fusion_backward.h"

namespace cinefuse {

void low_rank_fusion_forward_cpu(const LowRankShape& shape, const FusionInputs& inputs,
                                 const LowRankWeights& weights, float* y, float* saved, const Exec& exec);
void low_rank_fusion_backward_cpu(const LowRankShape& shape, const FusionInputs& inputs,
                                  const LowRankWeights& weights, const float* saved,
                                  const LowRankGradients& gradients, const Exec& exec);

size_t low_rank_fusion_saved(const LowRankShape& shape, int64_t rows) {
  return static_cast<size_t>(shape.dims.modes * rows * shape.rank * shape.out);
}

void low_rank_fusion_forward(const LowRankShape& shape, const FusionInputs& inputs,
                             const LowRankWeights& weights, float* y, float* saved, const Exec& exec) {
  require_cpu(exec, "low-rank fusion in training");
  low_rank_fusion_forward_cpu(shape, inputs, weights, y, saved, exec);
}

void low_rank_fusion_backward(const LowRankShape& shape, const FusionInputs& inputs,
                              const LowRankWeights& weights, const float* saved,
                              const LowRankGradients& gradients, const Exec& exec) {
  require_cpu(exec, "low-rank fusion in training");
  low_rank_fusion_backward_cpu(shape, inputs, weights, saved, gradients, exec);
}

}  // namespace cinefuse
