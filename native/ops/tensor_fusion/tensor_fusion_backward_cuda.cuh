// Tensor fusion in training, in device memory; as in tensor_fusion_backward.h. z and dz are formed a window
// of the first modality's values at a time.
#pragma once
#include "fusion_products.cuh"

namespace cinefuse::gpu {

struct TensorFusionGradients {
  const float *W, *dy;
  float* dh[kMostFusionModes];  // (rows, d_m), or null
  float *dW, *db;
};
void tensor_fusion_forward(const FusionDims& dims, int64_t out, const FusionInputs& inputs, const float* W,
                           const float* b, float* y, Call& call);
void tensor_fusion_backward(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                            const TensorFusionGradients& gradients, Call& call);
void outer_product_backward(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                            float* const* dh, Call& call);

}  // namespace cinefuse::gpu
