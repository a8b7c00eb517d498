#include "../../node/boundary.h"
#include "modality_attention.h"

namespace cinefuse {
namespace {

const HandleTag kModalityAttentionTag = {"ModalityAttention"};

}  // namespace

// modalityAttentionPrepare(exec, cancel, tanh, features, W, b, w?) -> handle
Napi::Value modality_attention_prepare_node(const Napi::CallbackInfo& info) {
  Call call(info);
  ModalityAttentionWeights p{};
  p.form = call.boolean(2, "tanh") ? AttentionForm::kTanh : AttentionForm::kFeature;
  p.d = call.integer(3, "features");
  const Span<const float> W = call.f32(4, "W");
  const Span<const float> b = call.f32(5, "b");
  const Span<const float> w = call.f32_optional(6, "w");
  p.k = static_cast<int64_t>(b.size);
  p.W = W.data;
  p.b = b.data;
  p.w = w.data;
  modality_attention_check(p, W.size, b.size, w.size);
  const auto layer = std::make_shared<ModalityAttention>();
  return call.run([=](const Exec& exec) { *layer = modality_attention_prepare(p, exec); },
                  [=](Napi::Env env) {
                    return make_handle(env, kModalityAttentionTag, layer,
                                       static_cast<int64_t>(layer->W.bytes()));
                  });
}

// modalityAttentionRun(exec, cancel, handle, batch, modalities, h, mask?, outC?, outAlpha?) -> [c, alpha]
Napi::Value modality_attention_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto layer = open_handle<ModalityAttention>(call.argument(2), kModalityAttentionTag, "handle");
  ModalityAttentionParams p{};
  p.batch = call.integer(3, "batch");
  p.modalities = call.integer(4, "modalities");
  const Span<const float> h = call.f32(5, "h");
  const Span<const uint8_t> mask = call.absent(6) ? Span<const uint8_t>{} : call.u8(6, "mask");
  p.h = h.data;
  p.mask = mask.data;
  modality_attention_check_rows(*layer, p, h.size, mask.size);
  const size_t rows = static_cast<size_t>(p.batch), d = static_cast<size_t>(layer->d);
  const size_t weights = rows * static_cast<size_t>(p.modalities);
  p.c = call.out_f32(7, "out.c", rows * d).data;
  p.alpha = call.out_f32(8, "out.alpha", layer->form == AttentionForm::kFeature ? weights * d : weights).data;
  call.keep(layer);
  return call.run([p, l = layer.get()](const Exec& exec) { modality_attention(*l, p, exec); });
}

}  // namespace cinefuse
