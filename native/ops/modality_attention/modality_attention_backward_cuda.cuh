// Attention over modalities in training, in device memory; as in modality_attention_backward.h. Launches and
// scratch only.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

struct ModalityAttentionWeights {
  int32_t form;  // enum class AttentionForm
  int64_t d, k;
  const float *W, *b, *w;
};
struct ModalityAttentionGradients {
  const float* dc;
  float *dh, *dW, *db, *dw;
};
// Floats: alpha, and for `tanh` the hidden layer of every vector.
size_t modality_attention_saved(const ModalityAttentionWeights& weights, int64_t batch, int64_t modalities);
void modality_attention_forward(const ModalityAttentionWeights& weights, int64_t batch, int64_t modalities,
                                const float* h, const uint8_t* mask, float* c, float* saved, Call& call);
void modality_attention_backward(const ModalityAttentionWeights& weights, int64_t batch, int64_t modalities,
                                 const float* h, const uint8_t* mask, const float* saved,
                                 const ModalityAttentionGradients& gradients, Call& call);

}  // namespace cinefuse::gpu
