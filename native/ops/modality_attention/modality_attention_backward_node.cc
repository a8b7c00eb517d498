#include "../../node/boundary.h"
#include "modality_attention_backward.h"

namespace cinefuse {

// modalityAttentionBackward(exec, cancel, tanh, features, modalities, batch, W, b, w?, h, mask?, dc)
// -> [dh, dW, db, dw (empty for `feature`)]
Napi::Value modality_attention_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  ModalityAttentionWeights w{};
  ModalityAttentionParams p{};
  w.form = call.boolean(2, "tanh") ? AttentionForm::kTanh : AttentionForm::kFeature;
  w.d = call.integer(3, "features");
  p.modalities = call.integer(4, "modalities");
  p.batch = call.integer(5, "batch");
  const Span<const float> W = call.f32(6, "W");
  const Span<const float> b = call.f32(7, "b");
  const Span<const float> scores = call.f32_optional(8, "w");
  const Span<const float> h = call.f32(9, "h");
  const Span<const uint8_t> mask = call.absent(10) ? Span<const uint8_t>{} : call.u8(10, "mask");
  const Span<const float> dc = call.f32(11, "dc");
  w.k = static_cast<int64_t>(b.size);
  w.W = W.data;
  w.b = b.data;
  w.w = scores.data;
  p.h = h.data;
  p.mask = mask.data;
  modality_attention_check(w, W.size, b.size, scores.size);
  modality_attention_check_gradients(w, p, h.size, mask.size, dc.size);
  ModalityAttentionGradients g{};
  g.dc = dc.data;
  g.dh = call.out_f32(12, "dh", h.size).data;
  g.dW = call.out_f32(13, "dW", W.size).data;
  g.db = call.out_f32(14, "db", b.size).data;
  g.dw = call.out_f32(15, "dw", w.form == AttentionForm::kTanh ? scores.size : 0).data;
  return call.run([=](const Exec& exec) { modality_attention_gradients(w, p, g, exec); });
}

}  // namespace cinefuse
