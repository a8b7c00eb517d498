#include "cross_modal.h"

namespace cinefuse {

void cross_modal_gradients(const CrossModalWeights& w, const ModalityAttentionParams& p,
                           const CrossModalGradients& gradients, const Exec& exec) {
  require_cpu(exec, "The gradients of cross-modal attention");
  std::vector<float> saved(cross_modal_saved(w, p.batch, p.modalities));
  std::vector<float> c(static_cast<size_t>(p.batch * w.d));
  cross_modal_forward(w, p.batch, p.modalities, p.h, p.mask, c.data(), saved.data(), exec);
  exec.check_cancelled();
  cross_modal_backward(w, p.batch, p.modalities, p.h, p.mask, saved.data(), gradients, exec);
}

}  // namespace cinefuse
