#include "low_rank_fusion_backward.h"

namespace cinefuse {

// y alone, or gradients too: a device keeps nothing of a forward pass between two calls of an operator.
void low_rank_training_device(const LowRankShape& shape, const FusionInputs& inputs,
                              const LowRankWeights& weights, float* y, const LowRankGradients* gradients,
                              const Exec& exec);
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
  if (exec.backend != Backend::kCpu) {
    return low_rank_training_device(shape, inputs, weights, y, nullptr, exec);
  }
  low_rank_fusion_forward_cpu(shape, inputs, weights, y, saved, exec);
}

void low_rank_fusion_backward(const LowRankShape& shape, const FusionInputs& inputs,
                              const LowRankWeights& weights, const float* saved,
                              const LowRankGradients& gradients, const Exec& exec) {
  if (exec.backend != Backend::kCpu) {
    return low_rank_training_device(shape, inputs, weights, nullptr, &gradients, exec);
  }
  low_rank_fusion_backward_cpu(shape, inputs, weights, saved, gradients, exec);
}

}  // namespace cinefuse
