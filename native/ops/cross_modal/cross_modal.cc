#include "cross_modal.h"

#include "../../core/device.h"
#include "cross_modal_device.h"

namespace cinefuse {
namespace {

void gradients_device(const CrossModalWeights& w, const ModalityAttentionParams& p,
                      const CrossModalGradients& g, const Exec& exec) {
  std::vector<const float*> weights;
  std::vector<float*> gradients;
  for (int64_t i = 0; i < w.blocks; ++i) {
    CrossWeights block = w.block[i];
    CrossGradients of_block = g.block[i];
    for (const CrossArray& array : cross_arrays(block)) weights.push_back(*array.to);
    for (float** array : cross_gradient_arrays(of_block)) gradients.push_back(*array);
  }
  run_on_device(
      exec, CINEFUSE_CROSS_MODAL_BACKWARD,
      cinefuse_cross_modal_backward_params{w.d, w.block->heads, w.block->ff, w.blocks, p.batch, p.modalities,
                                           weights.data(), p.h, p.mask, g.dc, g.dh, gradients.data()});
}

}  // namespace

void cross_modal_gradients(const CrossModalWeights& w, const ModalityAttentionParams& p,
                           const CrossModalGradients& gradients, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return gradients_device(w, p, gradients, exec);
  std::vector<float> saved(cross_modal_saved(w, p.batch, p.modalities));
  std::vector<float> c(static_cast<size_t>(p.batch * w.d));
  cross_modal_forward(w, p.batch, p.modalities, p.h, p.mask, c.data(), saved.data(), exec);
  exec.check_cancelled();
  cross_modal_backward(w, p.batch, p.modalities, p.h, p.mask, saved.data(), gradients, exec);
}

}  // namespace cinefuse
