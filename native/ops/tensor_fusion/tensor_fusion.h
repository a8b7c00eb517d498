// Tensor fusion: y = f(W · z + b), z = [h_1; 1] ⊗ [h_2; 1] ⊗ ... of two to four modalities, f elementwise.
//
//   z[((i · (d_2+1)) + j) · (d_3+1) + k] = h_1[i] · h_2[j] · h_3[k], the appended 1 at the last index of its
//   mode
//
// h_m: (rows, d_m), W: (out, Π(d_m+1)), b: (out) or none, y: (rows, out), float32, row-major. z is never
// written: the inner loops of the product form it a block at a time. Determinism as core/gemm/gemm.h says.
//
// Absent modality: present is (rows, modalities) or null; where it is 0, h_m counts as 0 whatever lies there,
// so that of its mode only the appended 1 remains and all interactions with it vanish. Source: Zadeh et al.
// 2017, Tensor Fusion Network (there the 1 comes first).
#pragma once
#include <vector>

#include "../../core/device.h"
#include "../activation/activation.h"
#include "fusion_inputs.h"

struct cinefuse_tensor_fusion_description;

namespace cinefuse {

constexpr int kMostTensorModes = 4;
constexpr int64_t kMostFusionBytes = int64_t{512} << 20;  // of weights, and of an outer product

struct TensorFusionParams {
  FusionDims dims;
  int64_t out;
  const float* weight;
  const float* bias;  // or null
  Activation activation;
  float slope;
  WeightType weight_type = WeightType::kFloat32;
};

// Weights made ready once. Immutable: any number of calls may run on it at a time.
struct TensorFusion {
  FusionDims dims;
  PackedMatrix weight;
  std::vector<float> bias;  // empty: none
  Activation activation = Activation::kNone;
  float slope = 0.f;
  DeviceTwins twins;
};

// Throws ERR_SHAPE, also for weights past kMostFusionBytes, and ERR_INPUT_VALUE. bias_size is -1 where none
// is given.
void tensor_fusion_check(const TensorFusionParams& params, size_t weight_size, int64_t bias_size);
TensorFusion tensor_fusion_prepare(const TensorFusionParams& params, const Exec& exec);
void tensor_fusion(const TensorFusion& layer, const FusionInputs& inputs, float* y, const Exec& exec);
// What the CUDA library is told of a layer, for networks that have one; it points into `weight`.
void tensor_fusion_describe(const TensorFusion& layer, std::vector<float>& weight,
                            cinefuse_tensor_fusion_description& description);

// z itself, (rows, Π(d_m+1)). The check throws ERR_SHAPE for one past kMostFusionBytes.
void outer_product_check(const FusionDims& dims, int64_t rows);
void outer_product(const FusionDims& dims, const FusionInputs& inputs, float* z, const Exec& exec);

}  // namespace cinefuse
