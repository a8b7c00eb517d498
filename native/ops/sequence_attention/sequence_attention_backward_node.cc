#include "cross_weights_node.h"
#include "sequence_attention_backward.h"

namespace cinefuse {
namespace {

void require_gradient(size_t got, int64_t expected, const char* field, const char* shape) {
  CINEFUSE_REQUIRE(got == static_cast<size_t>(expected), Code::kShape, field,
                   "Expected %lld elements for %s of shape %s, received %zu",
                   static_cast<long long>(expected), field, shape, got);
}

}  // namespace

// temporalAttentionBackward(exec, cancel, batch, steps, keyDim, valueDim, scale, query, keys, values,
// lengths?, dc) -> [dquery, dkeys, dvalues]
Napi::Value temporal_attention_backward_node(const Napi::CallbackInfo& info) {
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
  const Span<const float> dc = call.f32(11, "dc");
  p.q = q.data;
  p.keys = keys.data;
  p.values = values.data;
  p.lengths = lengths.data;
  temporal_check(p, q.size, keys.size, values.size, lengths.size);
  require_gradient(dc.size, p.batch * p.dv, "dc", "(batch, valueDim)");
  TemporalGradients g{};
  g.dc = dc.data;
  g.dq = call.out_f32(12, "dquery", q.size).data;
  g.dkeys = call.out_f32(13, "dkeys", keys.size).data;
  g.dvalues = call.out_f32(14, "dvalues", values.size).data;
  return call.run([=](const Exec& exec) { temporal_gradients(p, g, exec); });
}

// additiveAttentionBackward(exec, cancel, batch, steps, dim, W, b, w, x, lengths?, dc) -> [dx, dW, db, dw]
Napi::Value additive_attention_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  AdditiveWeights w{};
  AdditiveParams p{};
  p.batch = call.integer(2, "batch");
  p.steps = call.integer(3, "steps");
  w.d = call.integer(4, "dim");
  const Span<const float> W = call.f32(5, "W");
  const Span<const float> b = call.f32(6, "b");
  const Span<const float> scores = call.f32(7, "w");
  const Span<const float> x = call.f32(8, "x");
  const Span<const int32_t> lengths = call.i32_optional(9, "lengths");
  const Span<const float> dc = call.f32(10, "dc");
  w.k = static_cast<int64_t>(scores.size);
  w.W = W.data;
  w.b = b.data;
  w.w = scores.data;
  p.x = x.data;
  p.lengths = lengths.data;
  additive_check(w, W.size, b.size, scores.size);
  AdditiveAttention layer;
  layer.d = w.d;
  additive_check_rows(layer, p, x.size, lengths.size);
  require_gradient(dc.size, p.batch * w.d, "dc", "(batch, dim)");
  AdditiveGradients g{};
  g.dc = dc.data;
  g.dx = call.out_f32(11, "dx", x.size).data;
  g.dW = call.out_f32(12, "dW", W.size).data;
  g.db = call.out_f32(13, "db", b.size).data;
  g.dw = call.out_f32(14, "dw", scores.size).data;
  return call.run([=](const Exec& exec) { additive_gradients(w, p, g, exec); });
}

// spatialAttentionBackward(exec, cancel, batch, channels, positions, queryPerRow, scale, bias, x, query, dc)
// -> [dx, dquery, dbias]
Napi::Value spatial_attention_backward_node(const Napi::CallbackInfo& info) {
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
  const Span<const float> dc = call.f32(10, "dc");
  p.x = x.data;
  p.query = query.data;
  spatial_check(p, x.size, query.size);
  require_gradient(dc.size, p.batch * p.channels, "dc", "(batch, channels)");
  SpatialGradients g{};
  g.dc = dc.data;
  g.dx = call.out_f32(11, "dx", x.size).data;
  g.dquery = call.out_f32(12, "dquery", query.size).data;
  g.dbias = call.out_f32(13, "dbias", 1).data;
  return call.run([=](const Exec& exec) { spatial_gradients(p, g, exec); });
}

// crossAttentionBackward(exec, cancel, width, contextWidth, heads, ff, weights, batch, queries, keys, x,
// context, present?, dy) -> [dx, dcontext, ...gradients of the weights]
Napi::Value cross_attention_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  CrossWeights w{};
  w.width = call.integer(2, "width");
  w.context_width = call.integer(3, "contextWidth");
  w.heads = call.integer(4, "heads");
  w.ff = call.integer(5, "ff");
  cross_check(w);
  const std::vector<Span<const float>> weights = call.f32_list(6, "weights");
  read_cross_weights(weights, w);
  CrossParams p{};
  p.batch = call.integer(7, "batch");
  p.queries = call.integer(8, "queries");
  p.keys = call.integer(9, "keys");
  const Span<const float> x = call.f32(10, "x");
  const Span<const float> ctx = call.f32(11, "context");
  const Span<const uint8_t> present = call.absent(12) ? Span<const uint8_t>{} : call.u8(12, "present");
  const Span<const float> dy = call.f32(13, "dy");
  p.x = x.data;
  p.ctx = ctx.data;
  p.present = present.data;
  CrossAttention layer;
  layer.width = w.width;
  layer.context_width = w.context_width;
  cross_check_rows(layer, p, x.size, ctx.size, present.size);
  require_gradient(dy.size, p.batch * p.queries * w.width, "dy", "(batch, queries, width)");
  CrossGradients g{};
  g.dy = dy.data;
  g.dx = call.out_f32(14, "dx", x.size).data;
  g.dctx = call.out_f32(15, "dcontext", ctx.size).data;
  const std::vector<float**> to = cross_gradient_arrays(g);
  for (size_t i = 0; i < weights.size(); ++i)
    *to[i] = call.out_f32(16 + i, "gradients", weights[i].size).data;
  return call.run([=](const Exec& exec) { cross_gradients(w, p, g, exec); });
}

}  // namespace cinefuse
