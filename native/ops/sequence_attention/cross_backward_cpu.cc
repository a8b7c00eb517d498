#include "../../core/pool.h"
#include "cross_lines.h"

namespace cinefuse {
namespace {

constexpr int kScratch = 2;  // of the calling thread; the products inside use others

// The rows of a batch, whose queries are all there.
struct Batch {
  PresentRows queries, keys;
  CrossLines lines;
  Batch(const CrossParams& p)
      : queries(p.batch, p.queries, nullptr),
        keys(p.batch, p.keys, p.present),
        lines{p.batch, queries, keys, p.keys, false} {}
};

CrossSaved saved_of(const CrossWeights& w, const CrossParams& p, float* base) {
  return CrossSaved(w, p.batch * p.queries, p.batch * p.keys, p.keys, base);
}

// alpha (heads, queries, keys) <- those of the keys present, zeros between
void give_alpha(const CrossWeights& w, const CrossParams& p, const Batch& batch, const CrossSaved& saved) {
  for (int64_t row = 0; row < p.batch; ++row) {
    const float* from = saved.alpha + cross_lines_alpha(w, batch.lines, row);
    float* to = p.alpha + row * w.heads * p.queries * p.keys;
    for (int64_t i = 0; i < w.heads * p.queries; ++i) {
      for (int64_t key = 0; key < p.keys; ++key) *to++ = batch.keys.has(row, key) ? *from++ : 0.f;
    }
  }
}

}  // namespace

size_t cross_saved(const CrossWeights& weights, const CrossParams& params) {
  return saved_of(weights, params, nullptr).floats;
}

void cross_forward(const CrossWeights& w, const CrossParams& p, float* memory, const Exec& exec) {
  const Batch batch(p);
  const CrossSaved saved = saved_of(w, p, memory);
  float* const copies =
      batch.keys.is_whole()
          ? nullptr
          : thread_scratch(kScratch, static_cast<size_t>(batch.keys.all() * w.context_width));
  const float* const ctx = batch.keys.gather(w.context_width, p.ctx, copies, exec);
  cross_lines_forward(w, batch.lines, p.x, ctx, saved, p.y, exec);
  if (p.alpha) give_alpha(w, p, batch, saved);
}

void cross_backward(const CrossWeights& w, const CrossParams& p, const float* memory, const CrossGradients& g,
                    const Exec& exec) {
  const Batch batch(p);
  const CrossSaved saved = saved_of(w, p, const_cast<float*>(memory));
  const int64_t keys = batch.keys.all(), context = keys * w.context_width;
  float* const copies = thread_scratch(
      kScratch, static_cast<size_t>(2 * context) + cross_lines_scratch(w, p.batch * p.queries, keys));
  float* const dctx = copies + context;
  CrossGradients in_lines = g;
  if (g.dctx) in_lines.dctx = dctx;
  const float* const ctx = batch.keys.gather(w.context_width, p.ctx, copies, exec);
  cross_lines_backward(w, batch.lines, p.x, ctx, saved, in_lines, dctx + context, exec);
  if (g.dctx) batch.keys.scatter(w.context_width, dctx, g.dctx, exec);
}

}  // namespace cinefuse
