#include <algorithm>
#include <cstring>

#include "../../core/attend_simd.h"
#include "../../core/pool.h"
#include "modality_attention.h"

namespace cinefuse {
namespace {

constexpr int64_t kRowsATask = 60;  // whole tiles of the products, however many modalities

constexpr int kScratch = 0;
static_assert(kMaxAttendedModalities <= kMostSoftmaxRow, "softmax_rows takes all modalities of a row");

bool is_present(const uint8_t* mask, int64_t i) { return !mask || mask[i] != 0; }

// Scratch: differences to the first present vector, then their products with W.
void feature_rows(const ModalityAttention& p, int64_t rows, int64_t m, const float* h, const uint8_t* mask,
                  float* c, float* alpha, float* scratch, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t d = p.d;
  float* const differences = scratch;
  float* const scores = differences + rows * (m - 1) * d;
  int64_t others = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* first = nullptr;
    for (int64_t i = 0; i < m; ++i) {
      if (!is_present(mask, r * m + i)) continue;
      const float* x = h + (r * m + i) * d;
      if (first) {
        simd.subtract(d, x, first, differences + others++ * d);
      } else {
        first = x;
      }
    }
  }
  gemm(exec, others, {differences, d}, p.W, {}, scores, d);
  float* score = scores;
  for (int64_t r = 0; r < rows; ++r) {
    const float* from[kMaxAttendedModalities];
    float* e[kMaxAttendedModalities];
    float* a[kMaxAttendedModalities];
    int64_t n = 0;
    for (int64_t i = 0; i < m; ++i) {
      float* const weights = alpha ? alpha + (r * m + i) * d : nullptr;
      if (!is_present(mask, r * m + i)) {
        if (weights) std::memset(weights, 0, sizeof(float) * static_cast<size_t>(d));
        continue;
      }
      from[n] = h + (r * m + i) * d;
      a[n] = weights;
      e[n] = n == 0 ? nullptr : score;
      if (n++ > 0) score += d;
    }
    if (n == 0) {
      std::memset(c + r * d, 0, sizeof(float) * static_cast<size_t>(d));
      continue;
    }
    simd.feature_attend(n, d, e, alpha ? a : nullptr, from, c + r * d);
  }
}

// Scratch: the present vectors, one after the other (unless all are), then W h + b, their scores and the
// weights.
void tanh_rows(const ModalityAttention& p, int64_t rows, int64_t m, const float* h, const uint8_t* mask,
               float* c, float* alpha, float* scratch, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t d = p.d, k = p.k;
  float* const gathered = scratch;
  float* const hidden = gathered + rows * m * d;
  float* const scores = hidden + rows * m * k;
  float* const weights = alpha ? alpha : scores + rows * m;
  int64_t present = 0;
  for (int64_t i = 0; i < rows * m; ++i) present += is_present(mask, i);
  const float* x = h;
  if (present < rows * m) {
    float* to = gathered;
    for (int64_t i = 0; i < rows * m; ++i) {
      if (!is_present(mask, i)) continue;
      std::memcpy(to, h + i * d, sizeof(float) * static_cast<size_t>(d));
      to += d;
    }
    x = gathered;
  }
  gemm(exec, present, {x, d}, p.W, {p.b.data()}, hidden, k);
  simd.tanh_scores(present, k, p.w.data(), hidden, k, scores);
  const float* score = scores;
  for (int64_t i = 0; i < rows * m; ++i) weights[i] = is_present(mask, i) ? *score++ : 0.f;
  simd.softmax_rows(rows, m, mask, weights);
  for (int64_t r = 0; r < rows; ++r) {
    simd.weighted_sum(m, d, weights + r * m, h + r * m * d, d, c + r * d);
  }
}

}  // namespace

size_t modality_attention_scratch(const ModalityAttention& layer, int64_t rows, int64_t modalities) {
  const int64_t vectors = rows * modalities;
  return static_cast<size_t>(layer.form == AttentionForm::kFeature ? 2 * vectors * layer.d
                                                                   : vectors * (layer.d + layer.k + 2));
}

void modality_attention_rows(const ModalityAttention& layer, int64_t rows, int64_t modalities, const float* h,
                             const uint8_t* mask, float* c, float* alpha, float* scratch, const Exec& exec) {
  const auto run = layer.form == AttentionForm::kFeature ? feature_rows : tanh_rows;
  run(layer, rows, modalities, h, mask, c, alpha, scratch, exec);
}

void modality_attention_cpu(const ModalityAttention& layer, const ModalityAttentionParams& p,
                            const Exec& exec) {
  const int64_t m = p.modalities, d = layer.d;
  const int64_t rows_a_task = std::clamp<int64_t>((p.batch + exec.threads - 1) / exec.threads, 1, kRowsATask);
  const int64_t tasks = (p.batch + rows_a_task - 1) / rows_a_task;
  const int64_t weights_a_row = layer.form == AttentionForm::kFeature ? m * d : m;
  Exec inner = exec;
  if (tasks > 1) inner.threads = 1;
  parallel_for(exec, static_cast<int>(tasks), [&](int task) {
    const int64_t first = task * rows_a_task;
    const int64_t rows = std::min(rows_a_task, p.batch - first);
    float* const scratch = thread_scratch(kScratch, modality_attention_scratch(layer, rows, m));
    modality_attention_rows(layer, rows, m, p.h + first * m * d, p.mask ? p.mask + first * m : nullptr,
                            p.c + first * d, p.alpha + first * weights_a_row, scratch, inner);
  });
}

}  // namespace cinefuse
