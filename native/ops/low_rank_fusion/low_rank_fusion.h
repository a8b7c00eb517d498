// Low-rank fusion: y = f(b + Σ_r w_r · Π_m ([h_m; 1] · F_m[r])), products and the sum elementwise over the
// outputs.
//
// h_m: (rows, d_m), F_m: (rank, d_m+1, out) with the factor of the appended 1 last, w: (rank) or all 1, b:
// (out) or none, y: (rows, out), float32, row-major; f elementwise. It is tensor fusion with weights of rank
// `rank`, at the cost of Σ d_m instead of Π d_m. Absent modalities, determinism and non-finite values as in
// tensor_fusion.h. Source: Liu et al. 2018, Efficient Low-rank Multimodal Fusion (there the 1 comes first).
#pragma once
#include <deque>
#include <vector>

#include "../../core/device.h"
#include "../activation/activation.h"
#include "../tensor_fusion/fusion_inputs.h"

struct cinefuse_low_rank_fusion_description;

namespace cinefuse {

struct LowRankFusionParams {
  FusionDims dims;
  int64_t rank, out;
  std::array<const float*, kMostFusionModes> factors;
  const float* rank_weights;  // or null
  const float* bias;          // or null
  Activation activation;
  float slope;
  WeightType weight_type = WeightType::kFloat32;
};

// Weights made ready once. Immutable: any number of calls may run on it at a time.
struct LowRankFusion {
  FusionDims dims{};
  int64_t rank = 0, out = 0;
  std::vector<PackedMatrix> factors;     // columns: rank by rank, `out` each
  std::vector<std::vector<float>> ones;  // the factors of the appended 1: (rank, out)
  std::vector<float> rank_weights;       // (rank)
  std::vector<float> bias;               // (out), zeros where none was given
  Activation activation = Activation::kNone;
  float slope = 0.f;
  DeviceTwins twins;

  size_t bytes() const;
};

// Sizes are those of the arrays given, -1 for rank weights or bias that are not. Throws ERR_SHAPE,
// ERR_INPUT_VALUE.
void low_rank_fusion_check(const LowRankFusionParams& params, const std::vector<size_t>& factor_sizes,
                           int64_t rank_weights_size, int64_t bias_size);
LowRankFusion low_rank_fusion_prepare(const LowRankFusionParams& params);
void low_rank_fusion(const LowRankFusion& layer, const FusionInputs& inputs, float* y, const Exec& exec);

// What the CUDA library is told of a layer, for networks that have one; it points into `matrices`.
void low_rank_fusion_describe(const LowRankFusion& layer, std::deque<std::vector<float>>& matrices,
                              cinefuse_low_rank_fusion_description& description);

}  // namespace cinefuse
