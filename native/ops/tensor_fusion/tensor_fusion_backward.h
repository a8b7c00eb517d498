// Tensor fusion in training (no activation inside): y = W z + b with z of tensor_fusion.h, and
//
//   dW = dyᵀ z,  db = Σ_rows dy,  dh_m[i] = Σ over the other modes of (dy W) ⊙ their [h; 1]
//
// Neither z nor dz = dy W is ever written whole: both are formed a block at a time. An absent modality's dh
// is 0. Results are overwritten; null gradients are not computed; the same bits on every number of threads.
#pragma once
#include "tensor_fusion.h"

namespace cinefuse {

struct TensorFusionGradients {
  const float *W, *dy;
  std::array<float*, kMostFusionModes> dh;  // (rows, d_m)
  float *dW, *db;
};
// Throws ERR_SHAPE for a gradient that is not (rows, width).
void fusion_check_gradient(int64_t rows, int64_t width, size_t size, const char* name);
void tensor_fusion_forward(const FusionDims& dims, int64_t out, const FusionInputs& inputs, const float* W,
                           const float* b, float* y, const Exec& exec);
void tensor_fusion_backward(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                            const TensorFusionGradients& gradients, const Exec& exec);

// Of the bare product: dh from dz (rows, Π(d_m+1)).
void outer_product_backward(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                            const std::array<float*, kMostFusionModes>& dh, const Exec& exec);

}  // namespace cinefuse
