// Tensor fusion on device memory, for the operators that are made of it.
#pragma once
#include "../../cuda/device.h"
#include "fusion_order.cuh"

namespace cinefuse::gpu {

// Weights in the order of the matrix units' fragments, as float32 and as bfloat16: 6 bytes a weight, since a
// call that is captured cannot make a copy later.
class TensorFusionWeights {
 public:
  TensorFusionWeights() = default;
  // d: sizes without the 1; w: host memory, (out, product of the sizes with their 1); bias: host memory,
  // (out), or null; activation: elementwise (activation_math.cuh).
  TensorFusionWeights(Call& call, int modes, const int64_t* d, int64_t out, const float* w, const float* bias,
                      int activation, float slope);

  int modes() const { return modes_; }
  int64_t d(int mode) const { return d_[mode]; }
  int64_t out() const { return out_; }

 private:
  friend void tensor_fusion_rows(Call&, const TensorFusionWeights&, int64_t, const float* const*,
                                 const int64_t*, const uint8_t*, float*);
  void pack(Call& call, const FusionOrder& order, bool half, const float* raw, uint32_t* to) const;

  int modes_ = 0;
  int64_t d_[kFusionModes] = {}, out_ = 0;
  int units_ = 0, column_tiles_ = 0;  // a column tile is `units` times 16 outputs
  FusionOrder order_{}, half_order_{};
  Array<uint32_t> weights_, half_weights_;
  Array<float> bias_;
  int activation_ = 0;
  float slope_ = 0.f;
};

// y = f(W · ([h_1; 1] ⊗ [h_2; 1] ⊗ ...) + b). h[m]: device memory, (rows, d_m), rows ldh[m] apart; present:
// device memory, (rows, modes), 0 where h_m counts as 0 whatever lies there, or null; y: device memory,
// (rows, out). Launches and scratch only: it may be captured in a graph.
void tensor_fusion_rows(Call& call, const TensorFusionWeights& w, int64_t rows, const float* const* h,
                        const int64_t* ldh, const uint8_t* present, float* y);

}  // namespace cinefuse::gpu
