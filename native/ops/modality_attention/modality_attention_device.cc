#include "modality_attention_device.h"

#include "../../core/device.h"
#include "modality_attention_backward.h"
#include "modality_attention_backward_device.h"

namespace cinefuse {

void modality_attention_device(const ModalityAttention& layer, const ModalityAttentionParams& p,
                               const Exec& exec) {
  const auto twin = layer.twins.get(exec, [&] {
    const bool tanh = layer.form == AttentionForm::kTanh;
    std::vector<float> W(static_cast<size_t>(layer.k * layer.d));
    layer.W.unpack(W.data());
    return create_on_device(exec, CINEFUSE_MODALITY_ATTENTION,
                            cinefuse_modality_attention_description{tanh, 0, layer.d, layer.k, W.data(),
                                                                    tanh ? layer.b.data() : nullptr,
                                                                    tanh ? layer.w.data() : nullptr});
  });
  run_on_device(exec, CINEFUSE_MODALITY_ATTENTION, *twin,
                cinefuse_modality_attention_params{p.batch, p.modalities, p.h, p.mask, p.c, p.alpha});
}

void modality_attention_gradients_device(const ModalityAttentionWeights& w, const ModalityAttentionParams& p,
                                         const ModalityAttentionGradients& g, const Exec& exec) {
  const bool tanh = w.form == AttentionForm::kTanh;
  run_on_device(exec, CINEFUSE_MODALITY_ATTENTION_BACKWARD,
                cinefuse_modality_attention_backward_params{
                    static_cast<int32_t>(w.form), 0, w.d, w.k, p.batch, p.modalities, w.W, w.b,
                    tanh ? w.w : nullptr, p.h, p.mask, g.dc, g.dh, g.dW, g.db, tanh ? g.dw : nullptr});
}

}  // namespace cinefuse
