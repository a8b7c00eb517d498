#include <cstring>

#include "../../core/attend_backward_simd.h"
#include "../../core/attend_simd.h"
#include "../../core/pool.h"
#include "../../core/present_rows.h"
#include "../activation/activation.h"
#include "../linear/linear_backward.h"
#include "modality_attention_backward.h"

namespace cinefuse {
namespace {

constexpr int kScratch = 2;  // of the calling thread; the products inside use others

void zero(float* p, int64_t n) { std::memset(p, 0, sizeof(float) * static_cast<size_t>(n)); }
void copy(const float* from, int64_t n, float* to) {
  std::memcpy(to, from, sizeof(float) * static_cast<size_t>(n));
}

// sums (chunks, n) -> their sum, in order
void add_up(int chunks, int64_t n, const float* sums, float* to, const AttendSimd& simd) {
  zero(to, n);
  for (int chunk = 0; chunk < chunks; ++chunk) simd.axpy(n, 1.f, sums + chunk * n, to);
}

// dh = what came through the scores, in order of the present, + alpha dc where alpha is one weight a modality
void scatter(const PresentRows& present, int64_t m, int64_t d, const float* through_scores,
             const float* alpha, const float* dc, float* dh, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const AttendBackwardSimd& backward = attend_backward_simd(exec.isa);
  present.for_chunks(exec, [&](int, int64_t first, int64_t end) {
    const float* from = through_scores ? through_scores + present.start(first) * d : nullptr;
    for (int64_t r = first; r < end; ++r) {
      for (int64_t i = 0; i < m; ++i) {
        float* const to = dh + (r * m + i) * d;
        if (!present.has(r, i)) {
          zero(to, d);
          continue;
        }
        backward.scale(d, alpha[r * m + i], dc + r * d, to);
        if (!from) continue;
        simd.axpy(d, 1.f, from, to);
        from += d;
      }
    }
  });
}

// Gradients of the scores of one row, one weight a modality: e_i of those present, in order.
int64_t score_gradients(const PresentRows& present, int64_t r, int64_t m, int64_t d, const float* x,
                        const float* alpha, const float* dc, float* e, const Exec& exec) {
  float weights[kMaxAttendedModalities];
  int64_t n = 0;
  for (int64_t i = 0; i < m; ++i) {
    if (present.has(r, i)) weights[n++] = alpha[r * m + i];
  }
  attend_simd(exec.isa).dots(n, d, 1.f, 0.f, dc + r * d, x, d, e);
  attend_backward_simd(exec.isa).softmax(n, 1.f, weights, e, e);
  return n;
}

void feature_forward(const ModalityAttentionWeights& p, const PresentRows& present, int64_t m, const float* h,
                     float* c, float* alpha, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t d = p.d, n = present.all();
  const bool whole = present.is_whole();
  float* const scratch = whole ? nullptr : thread_scratch(kScratch, static_cast<size_t>(2 * n * d));
  const float* const x = present.gather(d, h, scratch, exec);
  float* const scores = whole ? alpha : scratch + n * d;
  linear_forward({n, d, d}, x, p.W, nullptr, scores, exec);
  present.for_chunks(exec, [&](int, int64_t first, int64_t end) {
    for (int64_t r = first; r < end; ++r) {
      float* e[kMaxAttendedModalities];
      const float* from[kMaxAttendedModalities];
      const int64_t count = present.count(r);
      for (int64_t i = 0; i < count; ++i) {
        e[i] = scores + (present.start(r) + i) * d;
        from[i] = x + (present.start(r) + i) * d;
      }
      if (count == 0) {
        zero(c + r * d, d);
      } else {
        simd.feature_attend(count, d, e, e, from, c + r * d);
      }
      if (whole) continue;
      int64_t next = 0;
      for (int64_t i = 0; i < m; ++i) {
        float* const to = alpha + (r * m + i) * d;
        present.has(r, i) ? copy(e[next++], d, to) : zero(to, d);
      }
    }
  });
}

void tanh_forward(const ModalityAttentionWeights& p, const PresentRows& present, int64_t batch, int64_t m,
                  const float* h, float* c, float* saved, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t d = p.d, k = p.k, n = present.all();
  float* const alpha = saved;
  float* const hidden = alpha + batch * m;
  float* const scratch = present.is_whole() ? nullptr : thread_scratch(kScratch, static_cast<size_t>(n * d));
  const float* const x = present.gather(d, h, scratch, exec);
  linear_forward({n, d, k}, x, p.W, p.b, hidden, exec);
  present.for_chunks(exec, [&](int, int64_t first, int64_t end) {
    for (int64_t r = first; r < end; ++r) {
      float scores[kMaxAttendedModalities];
      const int64_t count = present.count(r);
      float* const z = hidden + present.start(r) * k;
      activation_apply(Activation::kTanh, 0.f, count * k, z, z, exec.isa);
      simd.dots(count, k, 1.f, 0.f, p.w, z, k, scores);
      float* const weights = alpha + r * m;
      const float* score = scores;
      for (int64_t i = 0; i < m; ++i) weights[i] = present.has(r, i) ? *score++ : 0.f;
      simd.softmax(m, present.mask(r), weights);
      simd.weighted_sum(m, d, weights, h + r * m * d, d, c + r * d);
    }
  });
}

void feature_backward(const ModalityAttentionWeights& p, const PresentRows& present, int64_t m,
                      const float* h, const float* alpha, const ModalityAttentionGradients& g,
                      const Exec& exec) {
  const int64_t d = p.d, n = present.all();
  const bool whole = present.is_whole();
  float* const scratch = thread_scratch(kScratch, static_cast<size_t>((whole ? 3 : 4) * n * d));
  float* const de = scratch;                     // of the scores
  float* const through_scores = de + n * d;      // W' de
  float* const direct = through_scores + n * d;  // alpha dc
  const float* const x = present.gather(d, h, direct + n * d, exec);
  present.for_chunks(exec, [&](int, int64_t first, int64_t end) {
    for (int64_t r = first; r < end; ++r) {
      const float *weights[kMaxAttendedModalities], *from[kMaxAttendedModalities];
      float *to_scores[kMaxAttendedModalities], *to_direct[kMaxAttendedModalities];
      int64_t count = 0;
      for (int64_t i = 0; i < m; ++i) {
        if (!present.has(r, i)) continue;
        const int64_t at = (present.start(r) + count) * d;
        weights[count] = alpha + (r * m + i) * d;
        from[count] = x + at;
        to_scores[count] = de + at;
        to_direct[count++] = direct + at;
      }
      attend_backward_simd(exec.isa).feature_attend(count, d, weights, from, g.dc + r * d, to_scores,
                                                    to_direct);
    }
  });
  linear_backward({n, d, d}, {x, p.W, de, g.dh ? through_scores : nullptr, g.dW, nullptr}, exec);
  if (g.db) zero(g.db, d);
  if (!g.dh) return;
  const AttendSimd& simd = attend_simd(exec.isa);
  present.for_chunks(exec, [&](int, int64_t first, int64_t end) {
    int64_t at = present.start(first) * d;
    for (int64_t r = first; r < end; ++r) {
      for (int64_t i = 0; i < m; ++i) {
        float* const to = g.dh + (r * m + i) * d;
        if (!present.has(r, i)) {
          zero(to, d);
          continue;
        }
        copy(direct + at, d, to);
        simd.axpy(d, 1.f, through_scores + at, to);
        at += d;
      }
    }
  });
}

void tanh_backward(const ModalityAttentionWeights& p, const PresentRows& present, int64_t batch, int64_t m,
                   const float* h, const float* saved, const ModalityAttentionGradients& g,
                   const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const AttendBackwardSimd& backward = attend_backward_simd(exec.isa);
  const int64_t d = p.d, k = p.k, n = present.all();
  const float* const alpha = saved;
  const float* const hidden = alpha + batch * m;
  float* const dz = thread_scratch(kScratch, static_cast<size_t>(n * (k + 2 * d) + present.chunks() * k));
  float* const through_scores = dz + n * k;
  float* const sums = through_scores + n * d;
  const float* const x = present.gather(d, h, sums + present.chunks() * k, exec);
  present.for_chunks(exec, [&](int chunk, int64_t first, int64_t end) {
    float* const dw = sums + chunk * k;
    zero(dw, k);
    for (int64_t r = first; r < end; ++r) {
      float e[kMaxAttendedModalities];
      const int64_t start = present.start(r);
      const int64_t count = score_gradients(present, r, m, d, x + start * d, alpha, g.dc, e, exec);
      for (int64_t i = 0; i < count; ++i) {
        const float* const t = hidden + (start + i) * k;
        simd.axpy(k, e[i], t, dw);
        backward.tanh_scores(k, e[i], p.w, t, dz + (start + i) * k);
      }
    }
  });
  if (g.dw) add_up(present.chunks(), k, sums, g.dw, simd);
  linear_backward({n, d, k}, {x, p.W, dz, g.dh ? through_scores : nullptr, g.dW, g.db}, exec);
  if (g.dh) scatter(present, m, d, through_scores, alpha, g.dc, g.dh, exec);
}

}  // namespace

size_t modality_attention_saved(const ModalityAttentionWeights& p, int64_t batch, int64_t modalities) {
  return static_cast<size_t>(batch * modalities * (p.form == AttentionForm::kFeature ? p.d : 1 + p.k));
}

void modality_attention_forward(const ModalityAttentionWeights& p, int64_t batch, int64_t m, const float* h,
                                const uint8_t* mask, float* c, float* saved, const Exec& exec) {
  const PresentRows present(batch, m, mask);
  if (p.form == AttentionForm::kFeature) return feature_forward(p, present, m, h, c, saved, exec);
  tanh_forward(p, present, batch, m, h, c, saved, exec);
}

void modality_attention_backward(const ModalityAttentionWeights& p, int64_t batch, int64_t m, const float* h,
                                 const uint8_t* mask, const float* saved, const ModalityAttentionGradients& g,
                                 const Exec& exec) {
  const PresentRows present(batch, m, mask);
  if (p.form == AttentionForm::kFeature) return feature_backward(p, present, m, h, saved, g, exec);
  tanh_backward(p, present, batch, m, h, saved, g, exec);
}

void logit_sum_forward(int64_t batch, int64_t m, int64_t d, const float* h, const uint8_t* mask,
                       const float* logits, float* c, float* saved, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const PresentRows present(batch, m, mask);
  present.for_chunks(exec, [&](int, int64_t first, int64_t end) {
    for (int64_t r = first; r < end; ++r) {
      copy(logits, m, saved + r * m);
      simd.softmax(m, present.mask(r), saved + r * m);
      simd.weighted_sum(m, d, saved + r * m, h + r * m * d, d, c + r * d);
    }
  });
}

void logit_sum_backward(int64_t batch, int64_t m, int64_t d, const float* h, const uint8_t* mask,
                        const float* saved, const float* dc, float* dh, float* dlogits, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const PresentRows present(batch, m, mask);
  if (dh) scatter(present, m, d, nullptr, saved, dc, dh, exec);
  if (!dlogits) return;
  float* const sums = thread_scratch(kScratch, static_cast<size_t>(present.chunks() * m));
  present.for_chunks(exec, [&](int chunk, int64_t first, int64_t end) {
    float* const sum = sums + chunk * m;
    zero(sum, m);
    for (int64_t r = first; r < end; ++r) {
      float e[kMaxAttendedModalities];
      for (int64_t i = 0; i < m; ++i) {
        e[i] = 0.f;
        if (present.has(r, i)) simd.dots(1, d, 1.f, 0.f, dc + r * d, h + (r * m + i) * d, d, e + i);
      }
      attend_backward_simd(exec.isa).softmax(m, 1.f, saved + r * m, e, e);
      for (int64_t i = 0; i < m; ++i) sum[i] += e[i];
    }
  });
  add_up(present.chunks(), m, sums, dlogits, simd);
}

}  // namespace cinefuse
