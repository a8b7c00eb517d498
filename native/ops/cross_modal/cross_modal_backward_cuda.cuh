// Cross-modal attention in training, in device memory; as in cross_modal.h. Launches and scratch only.
#pragma once
#include "../sequence_attention/cross_backward_cuda.cuh"

namespace cinefuse::gpu {

struct CrossModalWeights {
  int64_t d, blocks;
  const CrossWeights* block;
};
struct CrossModalGradients {
  const float* dc;
  float* dh;                    // or null
  const CrossGradients* block;  // their dy, dx and dctx are not used
};
// Modalities: at most 32.
size_t cross_modal_saved(const CrossModalWeights& weights, int64_t batch, int64_t modalities);
void cross_modal_forward(const CrossModalWeights& weights, int64_t batch, int64_t modalities, const float* h,
                         const uint8_t* mask, float* c, float* saved, Call& call);
void cross_modal_backward(const CrossModalWeights& weights, int64_t batch, int64_t modalities, const float* h,
                          const uint8_t* mask, const float* saved, const CrossModalGradients& gradients,
                          Call& call);

}  // namespace cinefuse::gpu
