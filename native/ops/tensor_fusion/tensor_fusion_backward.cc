#include "tensor_fusion_backward.h"

namespace cinefuse {

void tensor_fusion_forward_device(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                                  const float* W, const float* b, float* y, const Exec& exec);
void tensor_fusion_backward_device(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                                   const TensorFusionGradients& gradients, const Exec& exec);
void outer_product_backward_device(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                                   const std::array<float*, kMostFusionModes>& dh, const Exec& exec);
void tensor_fusion_forward_cpu(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                               const float* W, const float* b, float* y, const Exec& exec);
void tensor_fusion_backward_cpu(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                                const TensorFusionGradients& gradients, const Exec& exec);
void outer_product_backward_cpu(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                                const std::array<float*, kMostFusionModes>& dh, const Exec& exec);

void fusion_check_gradient(int64_t rows, int64_t width, size_t size, const char* name) {
  CINEFUSE_REQUIRE(static_cast<size_t>(rows * width) == size, Code::kShape, name,
                   "Expected %lld elements for %s of shape (%lld, %lld), received %zu",
                   static_cast<long long>(rows * width), name, static_cast<long long>(rows),
                   static_cast<long long>(width), size);
}

void tensor_fusion_forward(const FusionDims& dims, int64_t out, const FusionInputs& inputs, const float* W,
                           const float* b, float* y, const Exec& exec) {
  exec.backend == Backend::kCpu ? tensor_fusion_forward_cpu(dims, out, inputs, W, b, y, exec)
                                : tensor_fusion_forward_device(dims, out, inputs, W, b, y, exec);
}

void tensor_fusion_backward(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                            const TensorFusionGradients& gradients, const Exec& exec) {
  exec.backend == Backend::kCpu ? tensor_fusion_backward_cpu(dims, out, inputs, gradients, exec)
                                : tensor_fusion_backward_device(dims, out, inputs, gradients, exec);
}

void outer_product_backward(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                            const std::array<float*, kMostFusionModes>& dh, const Exec& exec) {
  exec.backend == Backend::kCpu ? outer_product_backward_cpu(dims, inputs, dz, dh, exec)
                                : outer_product_backward_device(dims, inputs, dz, dh, exec);
}

}  // namespace cinefuse
