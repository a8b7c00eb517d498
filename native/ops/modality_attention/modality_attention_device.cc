#include "modality_attention_device.h"

#include "../../core/device.h"
#include "modality_attention.h"

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

}  // namespace cinefuse
