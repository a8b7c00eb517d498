#include <cstring>

#include "../../core/attend_simd.h"
#include "../../core/heads.h"
#include "../../core/pool.h"
#include "../../core/present_rows.h"
#include "../activation/activation_backward.h"
#include "../layer_norm/layer_norm.h"
#include "../layer_norm/layer_norm_backward.h"
#include "../linear/linear_backward.h"
#include "sequence_attention_backward.h"

namespace cinefuse {

namespace {

constexpr int kScratch = 2;  // of the calling thread; the products inside use others
constexpr int kRowScratch = 3;
constexpr float kEps = 1e-5f;

// What forward leaves, and what backward needs beside it, in pieces of one memory.
struct Saved {
  float *q, *attended;     // (batch * queries, width)
  float *k, *v;            // of the keys present, in a line
  float* alpha;            // of each row (heads, queries, keys present)
  float *first, *u;        // of the block: x + attention, and its norm
  float *hidden, *second;  // relu(W1 u + b1), u + W2 hidden + b2
  size_t floats = 0;

  Saved(const CrossWeights& w, const CrossParams& p, float* base) {
    const int64_t rows = p.batch * p.queries, keys = p.batch * p.keys;
    const auto take = [&](int64_t n) {
      float* const at = base ? base + floats : nullptr;
      floats += static_cast<size_t>(n);
      return at;
    };
    q = take(rows * w.width);
    attended = take(rows * w.width);
    k = take(keys * w.width);
    v = take(keys * w.width);
    alpha = take(w.heads * rows * p.keys);
    const int64_t block = w.ff ? rows * w.width : 0;
    first = take(block);
    u = take(block);
    hidden = take(rows * w.ff);
    second = take(block);
  }
};

Heads heads_of_row(const CrossWeights& w, const CrossParams& p, const PresentRows& present,
                   const Saved& saved, int64_t row) {
  const int64_t start = present.start(row) * w.width;
  return {p.queries,       present.count(row),
          w.heads,         w.width / w.heads,
          false,           saved.q + row * p.queries * w.width,
          saved.k + start, saved.v + start};
}

float* alpha_of_row(const CrossWeights& w, const CrossParams& p, const PresentRows& present,
                    const Saved& saved, int64_t row) {
  return saved.alpha + w.heads * p.queries * present.start(row);
}

// alpha (heads, queries, keys) <- the keys present, zeros between
void give_alpha(const CrossWeights& w, const CrossParams& p, const PresentRows& present, const float* from,
                int64_t row, float* alpha) {
  for (int64_t i = 0; i < w.heads * p.queries; ++i) {
    for (int64_t key = 0; key < p.keys; ++key) *alpha++ = present.has(row, key) ? *from++ : 0.f;
  }
}

void add(int64_t n, const float* x, float* y, const Exec& exec) { attend_simd(exec.isa).axpy(n, 1.f, x, y); }

}  // namespace

size_t cross_saved(const CrossWeights& weights, const CrossParams& params) {
  return Saved(weights, params, nullptr).floats;
}

void cross_forward(const CrossWeights& w, const CrossParams& p, float* memory, const Exec& exec) {
  const int64_t e = w.width, rows = p.batch * p.queries;
  const PresentRows present(p.batch, p.keys, p.present);
  const Saved saved(w, p, memory);
  const int64_t keys = present.all();
  const bool whole = present.is_whole();
  float* const copies =
      whole ? nullptr : thread_scratch(kScratch, static_cast<size_t>(keys * w.context_width));
  const float* const ctx = present.gather(w.context_width, p.ctx, copies, exec);
  linear_forward({rows, e, e}, p.x, w.Wq, w.bq, saved.q, exec);
  linear_forward({keys, w.context_width, e}, ctx, w.Wk, w.bk, saved.k, exec);
  linear_forward({keys, w.context_width, e}, ctx, w.Wv, w.bv, saved.v, exec);
  parallel_for(exec, static_cast<int>(p.batch), [&](int row) {
    float* const alpha = alpha_of_row(w, p, present, saved, row);
    heads_forward(heads_of_row(w, p, present, saved, row), alpha, saved.attended + row * p.queries * e,
                  exec.isa);
    if (p.alpha) give_alpha(w, p, present, alpha, row, p.alpha + row * w.heads * p.queries * p.keys);
  });
  linear_forward({rows, e, e}, saved.attended, w.Wo, w.bo, w.ff ? saved.first : p.y, exec);
  if (!w.ff) return;
  add(rows * e, p.x, saved.first, exec);
  layer_norm({rows, e, kEps, saved.first, w.gain1, w.shift1, saved.u}, exec);
  linear_forward({rows, e, w.ff}, saved.u, w.W1, w.b1, saved.hidden, exec);
  activation_apply(Activation::kRelu, 0.f, rows * w.ff, saved.hidden, saved.hidden, exec.isa);
  linear_forward({rows, w.ff, e}, saved.hidden, w.W2, w.b2, saved.second, exec);
  add(rows * e, saved.u, saved.second, exec);
  layer_norm({rows, e, kEps, saved.second, w.gain2, w.shift2, p.y}, exec);
}

void cross_backward(const CrossWeights& w, const CrossParams& p, const float* memory, const CrossGradients& g,
                    const Exec& exec) {
  const int64_t e = w.width, ff = w.ff, rows = p.batch * p.queries;
  const PresentRows present(p.batch, p.keys, p.present);
  const Saved saved(w, p, const_cast<float*>(memory));
  const int64_t keys = present.all();
  const int64_t block = ff ? rows * e : 0;
  float* const scratch = thread_scratch(
      kScratch, static_cast<size_t>(rows * (2 * e + ff) + 2 * block + keys * (2 * e + 2 * w.context_width)));
  float* const dattended = scratch;
  float* const dq = dattended + rows * e;
  float* const dhidden = dq + rows * e;
  float* const dsum = dhidden + rows * ff;  // of the block's sums, the second and then the first
  float* const inner = dsum + block;
  float* const dk = inner + block;
  float* const dv = dk + keys * e;
  float* const copies = dv + keys * e;  // of the context, then its gradient through the keys
  const float* dy = g.dy;
  if (ff) {
    layer_norm_backward({rows, e, kEps, saved.second, w.gain2, dy, dsum, g.gain2, g.shift2}, exec);
    linear_backward({rows, ff, e}, {saved.hidden, w.W2, dsum, dhidden, g.W2, g.b2}, exec);
    activation_backward({Activation::kRelu, 0.f, rows, ff, saved.hidden, saved.hidden, dhidden, dhidden},
                        exec);
    linear_backward({rows, e, ff}, {saved.u, w.W1, dhidden, inner, g.W1, g.b1}, exec);
    add(rows * e, inner, dsum, exec);
    layer_norm_backward({rows, e, kEps, saved.first, w.gain1, dsum, dsum, g.gain1, g.shift1}, exec);
    dy = dsum;
  }
  linear_backward({rows, e, e}, {saved.attended, w.Wo, dy, dattended, g.Wo, g.bo}, exec);
  parallel_for(exec, static_cast<int>(p.batch), [&](int row) {
    const int64_t start = present.start(row) * e, at = row * p.queries * e;
    heads_backward(heads_of_row(w, p, present, saved, row), alpha_of_row(w, p, present, saved, row),
                   dattended + at, dq + at, dk + start, dv + start,
                   thread_scratch(kRowScratch, static_cast<size_t>(p.keys)), exec.isa);
  });
  linear_backward({rows, e, e}, {p.x, w.Wq, dq, g.dx, g.Wq, g.bq}, exec);
  if (g.dx && ff) add(rows * e, dsum, g.dx, exec);
  const float* const ctx = present.gather(w.context_width, p.ctx, copies, exec);
  float* const dctx = copies + keys * w.context_width;
  linear_backward({keys, w.context_width, e}, {ctx, w.Wk, dk, g.dctx ? dctx : nullptr, g.Wk, nullptr}, exec);
  if (g.bk)
    std::memset(g.bk, 0, sizeof(float) * static_cast<size_t>(e));  // shifts all scores of a query alike
  linear_backward({keys, w.context_width, e}, {ctx, w.Wv, dv, nullptr, g.Wv, g.bv}, exec);
  if (!g.dctx) return;
  // The copies have been read: their memory takes the second part.
  linear_backward({keys, w.context_width, e}, {ctx, w.Wv, dv, copies, nullptr, nullptr}, exec);
  add(keys * w.context_width, copies, dctx, exec);
  present.scatter(w.context_width, dctx, g.dctx, exec);
}

}  // namespace cinefuse
