// Low-rank fusion in training (no activation inside), P_m = [h_m; 1] · F_m (rows, rank, out):
//
//   y = b + Σ_r w_r Π_m P_m[r];   dP_m = dy w_r Π_{n≠m} P_n (by products from both sides, never by division)
//   dF_m = [h_m; 1]ᵀ dP_m,  dh_m = dP_m F_mᵀ,  dw_r = Σ dy Π_m P_m[r],  db = Σ_rows dy
//
// An absent modality's dh is 0. Results are overwritten; null gradients are not computed.
#pragma once
#include "low_rank_fusion.h"

namespace cinefuse {

struct LowRankShape {
  FusionDims dims;
  int64_t rank, out;
};
struct LowRankWeights {
  std::array<const float*, kMostFusionModes> factors;
  const float *rank_weights, *bias;  // null: 1, 0
};
struct LowRankGradients {
  const float* dy;
  std::array<float*, kMostFusionModes> dh, dfactors;
  float *drank_weights, *dbias;
};
// Floats that forward leaves for backward: the P_m. Only the CPU's twins leave and read them (elsewhere
// `saved` may be null): between two calls of a device's operator nothing stays there.
size_t low_rank_fusion_saved(const LowRankShape& shape, int64_t rows);
void low_rank_fusion_forward(const LowRankShape& shape, const FusionInputs& inputs,
                             const LowRankWeights& weights, float* y, float* saved, const Exec& exec);
void low_rank_fusion_backward(const LowRankShape& shape, const FusionInputs& inputs,
                              const LowRankWeights& weights, const float* saved,
                              const LowRankGradients& gradients, const Exec& exec);

}  // namespace cinefuse
