#include "modality_attention_backward.h"

namespace cinefuse {

void modality_attention_gradients_device(const ModalityAttentionWeights& weights,
                                         const ModalityAttentionParams& params,
                                         const ModalityAttentionGradients& gradients, const Exec& exec);

void modality_attention_check_gradients(const ModalityAttentionWeights& weights,
                                        const ModalityAttentionParams& p, size_t h, size_t mask, size_t dc) {
  ModalityAttention layer;
  layer.form = weights.form;
  layer.d = weights.d;
  modality_attention_check_rows(layer, p, h, mask);
  CINEFUSE_REQUIRE(dc == static_cast<size_t>(p.batch * weights.d), Code::kShape, "dc",
                   "Expected %lld elements for dc of shape (batch, features), received %zu",
                   static_cast<long long>(p.batch * weights.d), dc);
}

void modality_attention_gradients(const ModalityAttentionWeights& weights, const ModalityAttentionParams& p,
                                  const ModalityAttentionGradients& gradients, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return modality_attention_gradients_device(weights, p, gradients, exec);
  std::vector<float> saved(modality_attention_saved(weights, p.batch, p.modalities));
  std::vector<float> c(static_cast<size_t>(p.batch * weights.d));
  modality_attention_forward(weights, p.batch, p.modalities, p.h, p.mask, c.data(), saved.data(), exec);
  exec.check_cancelled();
  modality_attention_backward(weights, p.batch, p.modalities, p.h, p.mask, saved.data(), gradients, exec);
}

}  // namespace cinefuse
