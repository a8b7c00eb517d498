// Low-rank fusion in training, in device memory; as in low_rank_fusion_backward.h.
#pragma once
#include "../tensor_fusion/fusion_products.cuh"

namespace cinefuse::gpu {

struct LowRankShape {
  FusionDims dims;
  int64_t rank, out;
};
struct LowRankWeights {
  const float* factors[kMostFusionModes];
  const float *rank_weights, *bias;  // null: 1, 0
};
struct LowRankGradients {
  const float* dy;
  float *dh[kMostFusionModes], *dfactors[kMostFusionModes];
  float *drank_weights, *dbias;
};
inline int64_t low_rank_fusion_saved(const LowRankShape& shape, int64_t rows) {
  return shape.dims.modes * rows * shape.rank * shape.out;
}
void low_rank_fusion_forward(const LowRankShape& shape, const FusionInputs& inputs,
                             const LowRankWeights& weights, float* y, float* saved, Call& call);
void low_rank_fusion_backward(const LowRankShape& shape, const FusionInputs& inputs,
                              const LowRankWeights& weights, const float* saved,
                              const LowRankGradients& gradients, Call& call);

}  // namespace cinefuse::gpu
