// Attention over modalities in training; formulas and shapes of modality_attention.h. Masked modalities and
// rows with nothing present get gradients of exactly 0. Results are overwritten; null gradients are not
// computed.
#pragma once
#include "modality_attention.h"

namespace cinefuse {

struct ModalityAttentionGradients {
  const float* dc;           // (batch, d)
  float *dh, *dW, *db, *dw;  // db of `feature` is 0; dw only for `tanh`
};
// Floats that forward leaves for backward: alpha, and for `tanh` the hidden layer.
size_t modality_attention_saved(const ModalityAttentionWeights& weights, int64_t batch, int64_t modalities);
void modality_attention_forward(const ModalityAttentionWeights& weights, int64_t batch, int64_t modalities,
                                const float* h, const uint8_t* mask, float* c, float* saved,
                                const Exec& exec);
void modality_attention_backward(const ModalityAttentionWeights& weights, int64_t batch, int64_t modalities,
                                 const float* h, const uint8_t* mask, const float* saved,
                                 const ModalityAttentionGradients& gradients, const Exec& exec);

// Both in one call, for callers that keep nothing of a forward pass. params.c and params.alpha are not used.
void modality_attention_gradients(const ModalityAttentionWeights& weights,
                                  const ModalityAttentionParams& params,
                                  const ModalityAttentionGradients& gradients, const Exec& exec);
// Throws where weights (their sizes given), rows or dc do not fit.
void modality_attention_check_gradients(const ModalityAttentionWeights& weights,
                                        const ModalityAttentionParams& params, size_t h, size_t mask,
                                        size_t dc);

// Weights that come from learned logits alone: c = Σ_m α_m h_m, α = softmax of logits (modalities) over the
// modalities present. saved: α (batch, modalities).
void logit_sum_forward(int64_t batch, int64_t modalities, int64_t d, const float* h, const uint8_t* mask,
                       const float* logits, float* c, float* saved, const Exec& exec);
void logit_sum_backward(int64_t batch, int64_t modalities, int64_t d, const float* h, const uint8_t* mask,
                        const float* saved, const float* dc, float* dh, float* dlogits, const Exec& exec);

}  // namespace cinefuse
