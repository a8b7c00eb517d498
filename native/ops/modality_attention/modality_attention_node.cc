#include "../../node/boundary.h"
#include "modality_attention.h"

namespace cinefuse {

// modalityAttention(exec, cancel, form, batch, modalities, features, h, mask?, W, b, w?, outC?, outAlpha?)
// -> [c, alpha]
Napi::Value modality_attention_node(const Napi::CallbackInfo& info) {
  Call call(info);
  ModalityAttentionParams params{};
  params.form = static_cast<AttentionForm>(call.int32(2, "form"));
  params.batch = call.integer(3, "batch");
  params.modalities = call.integer(4, "modalities");
  params.d = call.integer(5, "features");
  const Span<const float> h = call.f32(6, "h");
  const Span<const uint8_t> mask = call.absent(7) ? Span<const uint8_t>{} : call.u8(7, "mask");
  const Span<const float> W = call.f32(8, "W");
  const Span<const float> b = call.f32(9, "b");
  const Span<const float> w = call.f32_optional(10, "w");
  params.k = static_cast<int64_t>(b.size);
  params.h = h.data;
  params.mask = call.absent(7) ? nullptr : mask.data;
  params.W = W.data;
  params.b = b.data;
  params.w = w.data;
  modality_attention_check(params, {h.size, mask.size, W.size, b.size, w.size});
  const size_t rows = static_cast<size_t>(params.batch);
  const size_t weights = rows * static_cast<size_t>(params.modalities) *
                         (params.form == AttentionForm::kFeature ? static_cast<size_t>(params.d) : 1);
  params.c = call.out_f32(11, "out.c", rows * static_cast<size_t>(params.d)).data;
  params.alpha = call.out_f32(12, "out.alpha", weights).data;
  return call.run([params](const Exec& exec) { modality_attention(params, exec); });
}

}  // namespace cinefuse
