#include "tensor_fusion_backward_device.h"

#include "../../core/device.h"
#include "tensor_fusion_backward.h"

namespace cinefuse {

void tensor_fusion_forward_device(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                                  const float* W, const float* b, float* y, const Exec& exec);
void tensor_fusion_backward_device(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                                   const TensorFusionGradients& gradients, const Exec& exec);
void outer_product_backward_device(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                                   const std::array<float*, kMostFusionModes>& dh, const Exec& exec);

namespace {

cinefuse_tensor_fusion_training training_of(const FusionDims& dims, int64_t out, const FusionInputs& in) {
  cinefuse_tensor_fusion_training p{};
  p.rows = in.rows;
  p.modes = dims.modes;
  p.out = out;
  p.present = in.present;
  for (size_t m = 0; m < static_cast<size_t>(dims.modes); ++m) {
    p.d[m] = dims.d[m];
    p.h[m] = in.h[m];
  }
  return p;
}

}  // namespace

void tensor_fusion_forward_device(const FusionDims& dims, int64_t out, const FusionInputs& in, const float* W,
                                  const float* b, float* y, const Exec& exec) {
  cinefuse_tensor_fusion_training p = training_of(dims, out, in);
  p.weight = W;
  p.bias = b;
  p.y = y;
  run_on_device(exec, CINEFUSE_TENSOR_FUSION_TRAINING, p);
}

void tensor_fusion_backward_device(const FusionDims& dims, int64_t out, const FusionInputs& in,
                                   const TensorFusionGradients& g, const Exec& exec) {
  cinefuse_tensor_fusion_training p = training_of(dims, out, in);
  p.weight = g.W;
  p.dy = g.dy;
  p.dW = g.dW;
  p.db = g.db;
  for (size_t m = 0; m < static_cast<size_t>(dims.modes); ++m) p.dh[m] = g.dh[m];
  run_on_device(exec, CINEFUSE_TENSOR_FUSION_TRAINING, p);
}

void outer_product_backward_device(const FusionDims& dims, const FusionInputs& in, const float* dz,
                                   const std::array<float*, kMostFusionModes>& dh, const Exec& exec) {
  cinefuse_tensor_fusion_training p = training_of(dims, 0, in);
  p.dz = dz;
  for (size_t m = 0; m < static_cast<size_t>(dims.modes); ++m) p.dh[m] = dh[m];
  run_on_device(exec, CINEFUSE_TENSOR_FUSION_TRAINING, p);
}

}  // namespace cinefuse
