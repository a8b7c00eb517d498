#include "../../node/boundary.h"
#include "sequence_attention.h"

namespace cinefuse {
namespace {

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

// additiveAttention(exec, cancel, batch, steps, dim, x, W, b, w, lengths?, outC?, outAlpha?) -> [c, alpha]
Napi::Value additive_attention_node(const Napi::CallbackInfo& info) {
  Call call(info);
  AdditiveParams p{};
  p.batch = call.integer(2, "batch");
  p.steps = call.integer(3, "steps");
  p.d = call.integer(4, "dim");
  const Span<const float> x = call.f32(5, "x");
  const Span<const float> W = call.f32(6, "W");
  const Span<const float> b = call.f32(7, "b");
  const Span<const float> w = call.f32(8, "w");
  const Span<const int32_t> lengths = call.i32_optional(9, "lengths");
  p.k = static_cast<int64_t>(w.size);
  p.x = x.data;
  p.W = W.data;
  p.b = b.data;
  p.w = w.data;
  p.lengths = lengths.data;
  additive_check(p, x.size, W.size, b.size, w.size, lengths.size);
  p.c = call.out_f32(10, "out.c", elements(p.batch, p.d)).data;
  p.alpha = call.out_f32(11, "out.alpha", elements(p.batch, p.steps)).data;
  return call.run([p](const Exec& exec) { additive(p, exec); });
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

// crossAttention(exec, cancel, [batch, queries, keys, width, contextWidth, heads, ff], x, context, present?,
// weights, giveAlpha, outY?, outAlpha?) -> [y, alpha (empty unless asked for)]
Napi::Value cross_attention_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const std::vector<int64_t> sizes = call.integers(2, "sizes");
  CINEFUSE_REQUIRE(sizes.size() == 7, Code::kInputType, "sizes", "Expected 7 sizes, received %zu",
                   sizes.size());
  CrossParams p{};
  p.batch = sizes[0];
  p.queries = sizes[1];
  p.keys = sizes[2];
  p.width = sizes[3];
  p.context_width = sizes[4];
  p.heads = sizes[5];
  p.ff = sizes[6];
  cross_check(p);
  const int64_t e = p.width, ek = p.context_width, ff = p.ff;
  struct Array {
    const char* name;
    int64_t rows, cols;
    const float** to;
  };
  const Array arrays[] = {{"Wq", e, e, &p.Wq},
                          {"bq", e, 1, &p.bq},
                          {"Wk", e, ek, &p.Wk},
                          {"bk", e, 1, &p.bk},
                          {"Wv", e, ek, &p.Wv},
                          {"bv", e, 1, &p.bv},
                          {"Wo", e, e, &p.Wo},
                          {"bo", e, 1, &p.bo},
                          {"norm1.weight", e, 1, &p.ln1_g},
                          {"norm1.bias", e, 1, &p.ln1_b},
                          {"W1", ff, e, &p.W1},
                          {"b1", ff, 1, &p.b1},
                          {"W2", e, ff, &p.W2},
                          {"b2", e, 1, &p.b2},
                          {"norm2.weight", e, 1, &p.ln2_g},
                          {"norm2.bias", e, 1, &p.ln2_b}};
  const auto require = [](size_t got, size_t expected, const char* field) {
    CINEFUSE_REQUIRE(got == expected, Code::kShape, field, "Expected %zu elements for %s, received %zu",
                     expected, field, got);
  };
  const Span<const float> x = call.f32(3, "x");
  const Span<const float> ctx = call.f32(4, "context");
  require(x.size, elements(p.batch, p.queries * e), "x");
  require(ctx.size, elements(p.batch, p.keys * ek), "context");
  p.x = x.data;
  p.ctx = ctx.data;
  if (!call.absent(5)) {
    const Span<const uint8_t> present = call.u8(5, "present");
    require(present.size, elements(p.batch, p.keys), "present");
    p.present = present.data;
  }
  const std::vector<Span<const float>> weights = call.f32_list(6, "weights");
  require(weights.size(), ff ? 16 : 8, "weights");
  for (size_t i = 0; i < weights.size(); ++i) {
    require(weights[i].size, elements(arrays[i].rows, arrays[i].cols), arrays[i].name);
    *arrays[i].to = weights[i].data;
  }
  const bool give_alpha = call.boolean(7, "giveAlpha");
  p.y = call.out_f32(8, "out.y", elements(p.batch, p.queries * e)).data;
  const size_t alpha = give_alpha ? elements(p.batch * p.heads, p.queries * p.keys) : 0;
  p.alpha = call.out_f32(9, "out.alpha", alpha).data;
  if (!give_alpha) p.alpha = nullptr;
  return call.run([p](const Exec& exec) { cross(p, exec); });
}

}  // namespace cinefuse
