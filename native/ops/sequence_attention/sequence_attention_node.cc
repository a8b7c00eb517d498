#include "cross_weights_node.h"

namespace cinefuse {
namespace {

const HandleTag kAdditiveTag = {"AdditiveAttention"};
const HandleTag kCrossTag = {"CrossAttention"};

size_t elements(int64_t a, int64_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

}  // namespace

// temporalAttention(exec, cancel, batch, steps, keyDim, valueDim, scale, query, keys, values, lengths?,
// outC?, outAlpha?) -> [c, alpha]
Napi::Value temporal_attention_node(const Napi::CallbackInfo& info) {
  Call call(info);
  TemporalParams p{};
  p.batch = call.integer(2, "batch");
  p.steps = call.integer(3, "steps");
  p.d = call.integer(4, "keyDim");
  p.dv = call.integer(5, "valueDim");
  p.scale = call.float32(6, "scale");
  const Span<const float> q = call.f32(7, "query");
  const Span<const float> keys = call.f32(8, "keys");
  const Span<const float> values = call.f32(9, "values");
  const Span<const int32_t> lengths = call.i32_optional(10, "lengths");
  p.q = q.data;
  p.keys = keys.data;
  p.values = values.data;
  p.lengths = lengths.data;
  temporal_check(p, q.size, keys.size, values.size, lengths.size);
  p.c = call.out_f32(11, "out.c", elements(p.batch, p.dv)).data;
  p.alpha = call.out_f32(12, "out.alpha", elements(p.batch, p.steps)).data;
  return call.run([p](const Exec& exec) { temporal(p, exec); });
}

// additiveAttentionPrepare(exec, cancel, dim, W, b, w) -> handle
Napi::Value additive_attention_prepare_node(const Napi::CallbackInfo& info) {
  Call call(info);
  AdditiveWeights p{};
  p.d = call.integer(2, "dim");
  const Span<const float> W = call.f32(3, "W");
  const Span<const float> b = call.f32(4, "b");
  const Span<const float> w = call.f32(5, "w");
  p.k = static_cast<int64_t>(w.size);
  p.W = W.data;
  p.b = b.data;
  p.w = w.data;
  additive_check(p, W.size, b.size, w.size);
  const auto layer = std::make_shared<AdditiveAttention>();
  return call.run([=](const Exec& exec) { *layer = additive_prepare(p, exec); },
                  [=](Napi::Env env) {
                    return make_handle(env, kAdditiveTag, layer, static_cast<int64_t>(layer->W.bytes()));
                  });
}

// additiveAttentionRun(exec, cancel, handle, batch, steps, x, lengths?, outC?, outAlpha?) -> [c, alpha]
Napi::Value additive_attention_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto layer = open_handle<AdditiveAttention>(call.argument(2), kAdditiveTag, "handle");
  AdditiveParams p{};
  p.batch = call.integer(3, "batch");
  p.steps = call.integer(4, "steps");
  const Span<const float> x = call.f32(5, "x");
  const Span<const int32_t> lengths = call.i32_optional(6, "lengths");
  p.x = x.data;
  p.lengths = lengths.data;
  additive_check_rows(*layer, p, x.size, lengths.size);
  p.c = call.out_f32(7, "out.c", elements(p.batch, layer->d)).data;
  p.alpha = call.out_f32(8, "out.alpha", elements(p.batch, p.steps)).data;
  call.keep(layer);
  return call.run([p, l = layer.get()](const Exec& exec) { additive(*l, p, exec); });
}

// spatialAttention(exec, cancel, batch, channels, positions, queryPerRow, scale, bias, x, query, outC?,
// outAlpha?)
// -> [c, alpha]
Napi::Value spatial_attention_node(const Napi::CallbackInfo& info) {
  Call call(info);
  SpatialParams p{};
  p.batch = call.integer(2, "batch");
  p.channels = call.integer(3, "channels");
  p.positions = call.integer(4, "positions");
  p.query_per_row = call.boolean(5, "queryPerRow");
  p.scale = call.float32(6, "scale");
  p.bias = call.float32(7, "bias");
  const Span<const float> x = call.f32(8, "x");
  const Span<const float> query = call.f32(9, "query");
  p.x = x.data;
  p.query = query.data;
  spatial_check(p, x.size, query.size);
  p.c = call.out_f32(10, "out.c", elements(p.batch, p.channels)).data;
  p.alpha = call.out_f32(11, "out.alpha", elements(p.batch, p.positions)).data;
  return call.run([p](const Exec& exec) { spatial(p, exec); });
}

// crossAttentionPrepare(exec, cancel, width, contextWidth, heads, ff, weights) -> handle
Napi::Value cross_attention_prepare_node(const Napi::CallbackInfo& info) {
  Call call(info);
  CrossWeights p{};
  p.width = call.integer(2, "width");
  p.context_width = call.integer(3, "contextWidth");
  p.heads = call.integer(4, "heads");
  p.ff = call.integer(5, "ff");
  cross_check(p);
  read_cross_weights(call.f32_list(6, "weights"), p);
  const auto layer = std::make_shared<CrossAttention>();
  return call.run([=](const Exec& exec) { *layer = cross_prepare(p, exec); },
                  [=](Napi::Env env) {
                    return make_handle(env, kCrossTag, layer, static_cast<int64_t>(layer->bytes()));
                  });
}

// crossAttentionRun(exec, cancel, handle, batch, queries, keys, x, context, present?, giveAlpha, outY?,
// outAlpha?)
// -> [y, alpha (empty unless asked for)]
Napi::Value cross_attention_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto layer = open_handle<CrossAttention>(call.argument(2), kCrossTag, "handle");
  CrossParams p{};
  p.batch = call.integer(3, "batch");
  p.queries = call.integer(4, "queries");
  p.keys = call.integer(5, "keys");
  const Span<const float> x = call.f32(6, "x");
  const Span<const float> ctx = call.f32(7, "context");
  const Span<const uint8_t> present = call.absent(8) ? Span<const uint8_t>{} : call.u8(8, "present");
  p.x = x.data;
  p.ctx = ctx.data;
  p.present = present.data;
  cross_check_rows(*layer, p, x.size, ctx.size, present.size);
  const bool give_alpha = call.boolean(9, "giveAlpha");
  p.y = call.out_f32(10, "out.y", elements(p.batch, p.queries * layer->width)).data;
  const size_t alpha = give_alpha ? elements(p.batch * layer->heads, p.queries * p.keys) : 0;
  p.alpha = call.out_f32(11, "out.alpha", alpha).data;
  if (!give_alpha) p.alpha = nullptr;
  call.keep(layer);
  return call.run([p, l = layer.get()](const Exec& exec) { cross(*l, p, exec); });
}

}  // namespace cinefuse
