#include "cross_lines.h"

#include <cstring>

#include "../../core/attend_simd.h"
#include "../../core/heads.h"
#include "../../core/pool.h"
#include "../activation/activation_backward.h"
#include "../layer_norm/layer_norm.h"
#include "../layer_norm/layer_norm_backward.h"
#include "../linear/linear_backward.h"

namespace cinefuse {
namespace {

constexpr int kRowScratch = 3;
constexpr float kEps = 1e-5f;

void add(int64_t n, const float* x, float* y, const Exec& exec) { attend_simd(exec.isa).axpy(n, 1.f, x, y); }

Heads heads_of_row(const CrossWeights& w, const CrossLines& lines, const CrossSaved& saved, int64_t row) {
  const int64_t start = lines.keys.start(row) * w.width;
  return {lines.queries.count(row), lines.keys.count(row), w.heads,
          w.width / w.heads,        lines.others,          saved.q + lines.queries.start(row) * w.width,
          saved.k + start,          saved.v + start};
}

}  // namespace

CrossSaved::CrossSaved(const CrossWeights& w, int64_t queries, int64_t keys, int64_t width_of_keys,
                       float* base) {
  const auto take = [&](int64_t n) {
    float* const at = base ? base + floats : nullptr;
    floats += static_cast<size_t>(n);
    return at;
  };
  q = take(queries * w.width);
  attended = take(queries * w.width);
  k = take(keys * w.width);
  v = take(keys * w.width);
  alpha = take(w.heads * queries * width_of_keys);
  const int64_t block = w.ff ? queries * w.width : 0;
  first = take(block);
  u = take(block);
  hidden = take(queries * w.ff);
  second = take(block);
}

int64_t cross_lines_alpha(const CrossWeights& w, const CrossLines& lines, int64_t row) {
  return w.heads * lines.queries.start(row) * lines.width_of_keys;
}

void cross_lines_forward(const CrossWeights& w, const CrossLines& lines, const float* x, const float* ctx,
                         const CrossSaved& saved, float* y, const Exec& exec) {
  const int64_t e = w.width, queries = lines.queries.all(), keys = lines.keys.all();
  linear_forward({queries, e, e}, x, w.Wq, w.bq, saved.q, exec);
  linear_forward({keys, w.context_width, e}, ctx, w.Wk, w.bk, saved.k, exec);
  linear_forward({keys, w.context_width, e}, ctx, w.Wv, w.bv, saved.v, exec);
  parallel_for(exec, static_cast<int>(lines.batch), [&](int row) {
    heads_forward(heads_of_row(w, lines, saved, row), saved.alpha + cross_lines_alpha(w, lines, row),
                  saved.attended + lines.queries.start(row) * e, exec.isa);
  });
  linear_forward({queries, e, e}, saved.attended, w.Wo, w.bo, w.ff ? saved.first : y, exec);
  if (!w.ff) return;
  add(queries * e, x, saved.first, exec);
  layer_norm({queries, e, kEps, saved.first, w.gain1, w.shift1, saved.u}, exec);
  linear_forward({queries, e, w.ff}, saved.u, w.W1, w.b1, saved.hidden, exec);
  activation_apply(Activation::kRelu, 0.f, queries * w.ff, saved.hidden, saved.hidden, exec.isa);
  linear_forward({queries, w.ff, e}, saved.hidden, w.W2, w.b2, saved.second, exec);
  add(queries * e, saved.u, saved.second, exec);
  layer_norm({queries, e, kEps, saved.second, w.gain2, w.shift2, y}, exec);
}

size_t cross_lines_scratch(const CrossWeights& w, int64_t queries, int64_t keys) {
  return static_cast<size_t>(queries * ((w.ff ? 4 : 2) * w.width + w.ff) +
                             keys * (2 * w.width + w.context_width));
}

void cross_lines_backward(const CrossWeights& w, const CrossLines& lines, const float* x, const float* ctx,
                          const CrossSaved& saved, const CrossGradients& g, float* scratch,
                          const Exec& exec) {
  const int64_t e = w.width, ff = w.ff, queries = lines.queries.all(), keys = lines.keys.all();
  const int64_t block = ff ? queries * e : 0;
  float* const dattended = scratch;
  float* const dq = dattended + queries * e;
  float* const dhidden = dq + queries * e;
  float* const dsum = dhidden + queries * ff;  // of the block's sums, the second and then the first
  float* const inner = dsum + block;
  float* const dk = inner + block;
  float* const dv = dk + keys * e;
  float* const through_keys = dv + keys * e;
  const float* dy = g.dy;
  if (ff) {
    layer_norm_backward({queries, e, kEps, saved.second, w.gain2, dy, dsum, g.gain2, g.shift2}, exec);
    linear_backward({queries, ff, e}, {saved.hidden, w.W2, dsum, dhidden, g.W2, g.b2}, exec);
    activation_backward({Activation::kRelu, 0.f, queries, ff, saved.hidden, saved.hidden, dhidden, dhidden},
                        exec);
    linear_backward({queries, e, ff}, {saved.u, w.W1, dhidden, inner, g.W1, g.b1}, exec);
    add(queries * e, inner, dsum, exec);
    layer_norm_backward({queries, e, kEps, saved.first, w.gain1, dsum, dsum, g.gain1, g.shift1}, exec);
    dy = dsum;
  }
  linear_backward({queries, e, e}, {saved.attended, w.Wo, dy, dattended, g.Wo, g.bo}, exec);
  parallel_for(exec, static_cast<int>(lines.batch), [&](int row) {
    const int64_t at = lines.queries.start(row) * e, key = lines.keys.start(row) * e;
    heads_backward(heads_of_row(w, lines, saved, row), saved.alpha + cross_lines_alpha(w, lines, row),
                   dattended + at, dq + at, dk + key, dv + key,
                   thread_scratch(kRowScratch, static_cast<size_t>(lines.width_of_keys)), exec.isa);
  });
  linear_backward({queries, e, e}, {x, w.Wq, dq, g.dx, g.Wq, g.bq}, exec);
  if (g.dx && ff) add(queries * e, dsum, g.dx, exec);
  const LinearShape key_shape{keys, w.context_width, e};
  linear_backward(key_shape, {ctx, w.Wk, dk, g.dctx ? through_keys : nullptr, g.Wk, nullptr}, exec);
  if (g.bk) std::memset(g.bk, 0, sizeof(float) * static_cast<size_t>(e));  // shifts all scores of a query
  linear_backward(key_shape, {ctx, w.Wv, dv, g.dctx, g.Wv, g.bv}, exec);
  if (g.dctx) add(keys * w.context_width, through_keys, g.dctx, exec);
}

}  // namespace cinefuse
