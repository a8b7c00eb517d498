#include "tensor_fusion_backward.h"

namespace cinefuse {

void tensor_fusion_forward_cpu(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                               const float* W, const float* b, float* y, const Exec& exec);
void tensor_fusion_backward_cpu(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                                const TensorFusionGradients& gradients, const Exec& exec);
void outer_product_backward_cpu(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                                const std::array<float*, kMostFusionModes>& dh, const Exec& exec);

namespace {
void require_cpu(const Exec& exec) {
  CINEFUSE_REQUIRE(exec.backend == Backend::kCpu, Code::kBackend, "device",
                   "The gradients of tensor fusion run on the CPU only so far");
}
}  // namespace

void tensor_fusion_forward(const FusionDims& dims, int64_t out, const FusionInputs& inputs, const float* W,
                           const float* b, float* y, const Exec& exec) {
  require_cpu(exec);
  tensor_fusion_forward_cpu(dims, out, inputs, W, b, y, exec);
}

void tensor_fusion_backward(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                            const TensorFusionGradients& gradients, const Exec& exec) {
  require_cpu(exec);
  tensor_fusion_backward_cpu(dims, out, inputs, gradients, exec);
}

void outer_product_backward(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                            const std::array<float*, kMostFusionModes>& dh, const Exec& exec) {
  require_cpu(exec);
  outer_product_backward_cpu(dims, inputs, dz, dh, exec);
}

}  // namespace cinefuse
