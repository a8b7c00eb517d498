#include <algorithm>
#include <cstring>
#include <vector>

#include "../../core/attend_backward_simd.h"
#include "../../core/attend_simd.h"
#include "../../core/pool.h"
#include "../activation/activation.h"
#include "../linear/linear_backward.h"
#include "sequence_attention_backward.h"

namespace cinefuse {
namespace {

constexpr int kScratch = 2;  // of the calling thread; the products inside use others
constexpr int kRowScratch = 3;
constexpr int kMostChunks = 64;

void zero(float* p, int64_t n) { std::memset(p, 0, sizeof(float) * static_cast<size_t>(n)); }
void copy(const float* from, int64_t n, float* to) {
  std::memcpy(to, from, sizeof(float) * static_cast<size_t>(n));
}

// The batch in chunks that depend on its size alone, so that sums over chunks are the same on any number of
// threads.
struct Chunks {
  int64_t batch, step;
  int count;
  explicit Chunks(int64_t rows)
      : batch(rows),
        step(std::max<int64_t>(1, (rows + kMostChunks - 1) / kMostChunks)),
        count(static_cast<int>((rows + step - 1) / step)) {}
  // body(chunk, row)
  template <class Body>
  void for_rows(const Exec& exec, Body&& body) const {
    parallel_for(exec, count, [&](int chunk) {
      for (int64_t r = chunk * step; r < std::min(batch, (chunk + 1) * step); ++r) body(chunk, r);
    });
  }
};

// sums (chunks, n) -> their sum, in order
void add_up(int chunks, int64_t n, const float* sums, float* to, const Exec& exec) {
  zero(to, n);
  for (int chunk = 0; chunk < chunks; ++chunk) attend_simd(exec.isa).axpy(n, 1.f, sums + chunk * n, to);
}

// The steps that count, those of one row behind those of the one before.
class Steps {
 public:
  Steps(int64_t batch, int64_t steps, const int32_t* lengths)
      : batch_(batch), steps_(steps), lengths_(lengths) {
    if (!lengths) return;
    starts_.resize(static_cast<size_t>(batch + 1));
    for (size_t r = 0; r < static_cast<size_t>(batch); ++r) starts_[r + 1] = starts_[r] + lengths[r];
  }
  int64_t length(int64_t row) const { return lengths_ ? lengths_[row] : steps_; }
  int64_t start(int64_t row) const { return lengths_ ? starts_[static_cast<size_t>(row)] : row * steps_; }
  int64_t all() const { return start(batch_); }
  bool is_whole() const { return all() == batch_ * steps_; }

  // x (batch, steps, d) itself when every step counts, else a copy in `to`
  const float* gather(const Chunks& chunks, int64_t d, const float* x, float* to, const Exec& exec) const {
    if (is_whole()) return x;
    chunks.for_rows(exec,
                    [&](int, int64_t r) { copy(x + r * steps_ * d, length(r) * d, to + start(r) * d); });
    return to;
  }

 private:
  int64_t batch_, steps_;
  const int32_t* lengths_;
  std::vector<int64_t> starts_;
};

}  // namespace

void temporal_backward(const TemporalParams& p, const TemporalGradients& g, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const AttendBackwardSimd& backward = attend_backward_simd(exec.isa);
  const Steps steps(p.batch, p.steps, p.lengths);
  Chunks(p.batch).for_rows(exec, [&](int, int64_t r) {
    const int64_t length = steps.length(r);
    const float* const alpha = p.alpha + r * p.steps;
    const float* const dc = g.dc + r * p.dv;
    const float* const keys = p.keys + r * p.steps * p.d;
    float* const e = thread_scratch(kRowScratch, static_cast<size_t>(p.steps));
    simd.dots(length, p.dv, 1.f, 0.f, dc, p.values + r * p.steps * p.dv, p.dv, e);
    backward.softmax(length, p.scale, alpha, e, e);
    if (g.dq) simd.weighted_sum(length, p.d, e, keys, p.d, g.dq + r * p.d);
    for (int64_t t = 0; t < p.steps; ++t) {
      float* const dkey = g.dkeys ? g.dkeys + (r * p.steps + t) * p.d : nullptr;
      float* const dvalue = g.dvalues ? g.dvalues + (r * p.steps + t) * p.dv : nullptr;
      if (t < length) {
        if (dkey) backward.scale(p.d, e[t], p.q + r * p.d, dkey);
        if (dvalue) backward.scale(p.dv, alpha[t], dc, dvalue);
      } else {
        if (dkey) zero(dkey, p.d);
        if (dvalue) zero(dvalue, p.dv);
      }
    }
  });
}

// saved: alpha (batch, steps), then tanh(W x + b) of the steps that count, one after the other.
size_t additive_saved(const AdditiveWeights& p, int64_t batch, int64_t steps) {
  return static_cast<size_t>(batch * steps * (1 + p.k));
}

void additive_forward(const AdditiveWeights& w, const AdditiveParams& p, float* saved, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t d = w.d, k = w.k;
  const Steps steps(p.batch, p.steps, p.lengths);
  const Chunks chunks(p.batch);
  float* const hidden = saved + p.batch * p.steps;
  float* const scratch =
      steps.is_whole() ? nullptr : thread_scratch(kScratch, static_cast<size_t>(steps.all() * d));
  const float* const x = steps.gather(chunks, d, p.x, scratch, exec);
  linear_forward({steps.all(), d, k}, x, w.W, w.b, hidden, exec);
  chunks.for_rows(exec, [&](int, int64_t r) {
    const int64_t length = steps.length(r);
    float* const z = hidden + steps.start(r) * k;
    float* const alpha = saved + r * p.steps;
    activation_apply(Activation::kTanh, 0.f, length * k, z, z, exec.isa);
    simd.dots(length, k, 1.f, 0.f, w.w, z, k, alpha);
    simd.softmax(length, nullptr, alpha);
    zero(alpha + length, p.steps - length);
    simd.weighted_sum(length, d, alpha, x + steps.start(r) * d, d, p.c + r * d);
    if (p.alpha) copy(alpha, p.steps, p.alpha + r * p.steps);
  });
}

void additive_backward(const AdditiveWeights& w, const AdditiveParams& p, const float* saved,
                       const AdditiveGradients& g, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const AttendBackwardSimd& backward = attend_backward_simd(exec.isa);
  const int64_t d = w.d, k = w.k;
  const Steps steps(p.batch, p.steps, p.lengths);
  const Chunks chunks(p.batch);
  const int64_t n = steps.all();
  float* const dz = thread_scratch(kScratch, static_cast<size_t>(n * (k + 2 * d) + chunks.count * k));
  float* const through_scores = dz + n * k;
  float* const sums = through_scores + n * d;
  const float* const x = steps.gather(chunks, d, p.x, sums + chunks.count * k, exec);
  zero(sums, chunks.count * k);
  chunks.for_rows(exec, [&](int chunk, int64_t r) {
    const int64_t length = steps.length(r), start = steps.start(r);
    float* const e = thread_scratch(kRowScratch, static_cast<size_t>(p.steps));
    simd.dots(length, d, 1.f, 0.f, g.dc + r * d, x + start * d, d, e);
    backward.softmax(length, 1.f, saved + r * p.steps, e, e);
    for (int64_t t = 0; t < length; ++t) {
      const float* const y = saved + p.batch * p.steps + (start + t) * k;
      simd.axpy(k, e[t], y, sums + chunk * k);
      backward.tanh_scores(k, e[t], w.w, y, dz + (start + t) * k);
    }
  });
  if (g.dw) add_up(chunks.count, k, sums, g.dw, exec);
  linear_backward({n, d, k}, {x, w.W, dz, g.dx ? through_scores : nullptr, g.dW, g.db}, exec);
  if (!g.dx) return;
  chunks.for_rows(exec, [&](int, int64_t r) {
    const int64_t length = steps.length(r);
    float* const dx = g.dx + r * p.steps * d;
    for (int64_t t = 0; t < length; ++t) {
      backward.scale(d, saved[r * p.steps + t], g.dc + r * d, dx + t * d);
    }
    simd.axpy(length * d, 1.f, through_scores + steps.start(r) * d, dx);
    zero(dx + length * d, (p.steps - length) * d);
  });
}

void mean_pool_forward(int64_t batch, int64_t steps, int64_t d, const float* x, const int32_t* lengths,
                       float* c, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const Steps counted(batch, steps, lengths);
  Chunks(batch).for_rows(exec, [&](int, int64_t r) {
    const int64_t length = counted.length(r);
    float* const weights = thread_scratch(kRowScratch, static_cast<size_t>(steps));
    std::fill(weights, weights + length, 1.f / static_cast<float>(length));
    simd.weighted_sum(length, d, weights, x + r * steps * d, d, c + r * d);
  });
}

void mean_pool_backward(int64_t batch, int64_t steps, int64_t d, const int32_t* lengths, const float* dc,
                        float* dx, const Exec& exec) {
  const Steps counted(batch, steps, lengths);
  Chunks(batch).for_rows(exec, [&](int, int64_t r) {
    const int64_t length = counted.length(r);
    float* const to = dx + r * steps * d;
    if (length) {
      attend_backward_simd(exec.isa).scale(d, 1.f / static_cast<float>(length), dc + r * d, to);
    }
    for (int64_t t = 1; t < length; ++t) copy(to, d, to + t * d);
    zero(to + length * d, (steps - length) * d);
  });
}

void spatial_backward(const SpatialParams& p, const SpatialGradients& g, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const AttendBackwardSimd& backward = attend_backward_simd(exec.isa);
  const Chunks chunks(p.batch);
  const bool shared = g.dquery && !p.query_per_row;
  float* const sums =
      shared ? thread_scratch(kScratch, static_cast<size_t>(chunks.count * p.channels)) : nullptr;
  if (shared) zero(sums, chunks.count * p.channels);
  chunks.for_rows(exec, [&](int chunk, int64_t r) {
    const float* const x = p.x + r * p.channels * p.positions;
    const float* const query = p.query_per_row ? p.query + r * p.channels : p.query;
    const float* const alpha = p.alpha + r * p.positions;
    const float* const dc = g.dc + r * p.channels;
    float* const e = thread_scratch(kRowScratch, static_cast<size_t>(p.positions + p.channels));
    float* const dquery = e + p.positions;
    zero(e, p.positions);
    for (int64_t i = 0; i < p.channels; ++i) simd.axpy(p.positions, dc[i], x + i * p.positions, e);
    backward.softmax(p.positions, 1.f, alpha, e, e);
    if (g.dquery) {
      simd.dots(p.channels, p.positions, p.scale, 0.f, e, x, p.positions, dquery);
      if (shared) {
        simd.axpy(p.channels, 1.f, dquery, sums + chunk * p.channels);
      } else {
        copy(dquery, p.channels, g.dquery + r * p.channels);
      }
    }
    for (int64_t i = 0; g.dx && i < p.channels; ++i) {
      float* const dx = g.dx + (r * p.channels + i) * p.positions;
      backward.scale(p.positions, dc[i], alpha, dx);
      simd.axpy(p.positions, p.scale * query[i], e, dx);
    }
  });
  if (shared) add_up(chunks.count, p.channels, sums, g.dquery, exec);
  if (g.dbias) *g.dbias = 0.f;  // the bias shifts all positions alike
}

}  // namespace cinefuse
