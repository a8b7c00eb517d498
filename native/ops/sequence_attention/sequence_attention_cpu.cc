#include <algorithm>
#include <cstring>

#include "../../core/attend_simd.h"
#include "../../core/pool.h"
#include "../activation/activation.h"
#include "../layer_norm/layer_norm.h"
#include "sequence_attention.h"

namespace cinefuse {
namespace {

constexpr int kScratch = 0;
constexpr int64_t kFloatsATask = 1 << 15;  // read per task: some ten microseconds

void zero(float* p, int64_t n) { std::memset(p, 0, sizeof(float) * static_cast<size_t>(n)); }

Exec one_thread(const Exec& exec) {
  Exec single = exec;
  single.threads = 1;
  return single;
}

// body(row) for every row of the batch, several to a task when they are small.
template <class Body>
void for_rows(const Exec& exec, int64_t batch, int64_t floats_a_row, Body&& body) {
  const int64_t rows_a_task = std::max<int64_t>(1, kFloatsATask / std::max<int64_t>(1, floats_a_row));
  parallel_for(exec, static_cast<int>((batch + rows_a_task - 1) / rows_a_task), [&](int task) {
    const int64_t end = std::min(batch, (task + 1) * rows_a_task);
    for (int64_t row = task * rows_a_task; row < end; ++row) body(row);
  });
}

}  // namespace

void temporal_cpu(const TemporalParams& p, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  for_rows(exec, p.batch, p.steps * (p.d + p.dv), [&](int64_t r) {
    const int64_t length = p.lengths ? p.lengths[r] : p.steps;
    float* const alpha = p.alpha + r * p.steps;
    simd.dots(length, p.d, p.scale, 0.f, p.q + r * p.d, p.keys + r * p.steps * p.d, p.d, alpha);
    simd.softmax(length, nullptr, alpha);
    zero(alpha + length, p.steps - length);
    simd.weighted_sum(length, p.dv, alpha, p.values + r * p.steps * p.dv, p.dv, p.c + r * p.dv);
  });
}

void additive_scores(const AdditiveAttention& layer, int64_t n, const float* x, float* e, float* scratch,
                     const Exec& exec) {
  for (int64_t t = 0; t < n; t += kAdditiveBlock) {
    const int64_t rows = std::min(kAdditiveBlock, n - t);
    gemm(exec, rows, {x + t * layer.d, layer.d}, layer.W, {layer.b.data()}, scratch, layer.k);
    attend_simd(exec.isa).tanh_scores(rows, layer.k, layer.w.data(), scratch, layer.k, e + t);
  }
}

void additive_cpu(const AdditiveAttention& layer, const AdditiveParams& p, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t d = layer.d;
  const Exec single = one_thread(exec);
  for_rows(exec, p.batch, p.steps * d * std::min<int64_t>(layer.k, 64), [&](int64_t r) {
    const int64_t length = p.lengths ? p.lengths[r] : p.steps;
    const float* const x = p.x + r * p.steps * d;
    float* const alpha = p.alpha + r * p.steps;
    additive_scores(layer, length, x, alpha, thread_scratch(kScratch, additive_scratch(layer)), single);
    simd.softmax(length, nullptr, alpha);
    zero(alpha + length, p.steps - length);
    simd.weighted_sum(length, d, alpha, x, d, p.c + r * d);
  });
}

void spatial_cpu(const SpatialParams& p, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  for_rows(exec, p.batch, p.channels * p.positions, [&](int64_t r) {
    const float* const x = p.x + r * p.channels * p.positions;
    const float* const query = p.query_per_row ? p.query + r * p.channels : p.query;
    float* const alpha = p.alpha + r * p.positions;
    std::fill(alpha, alpha + p.positions, p.bias);
    for (int64_t i = 0; i < p.channels; ++i) {
      simd.axpy(p.positions, p.scale * query[i], x + i * p.positions, alpha);
    }
    simd.softmax(p.positions, nullptr, alpha);
    simd.dots(p.channels, p.positions, 1.f, 0.f, alpha, x, p.positions, p.c + r * p.channels);
  });
}

void cross_cpu(const CrossAttention& layer, const CrossParams& p, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t width = layer.width, ff = layer.ff, head_width = width / layer.heads;
  const float scale = 1.f / __builtin_sqrtf(static_cast<float>(head_width));
  // One row of the batch: the products inside share out their own work. Several: each on its thread.
  const Exec inner = p.batch > 1 ? one_thread(exec) : exec;
  const int64_t scratch = p.queries * (2 * width + ff) + 2 * p.keys * width + p.keys;
  const auto normalise = [&](float* rows, const std::vector<float>& gain, const std::vector<float>& shift) {
    for (int64_t r = 0; r < p.queries; ++r) {
      layer_norm_row(width, 1e-5f, rows + r * width, gain.data(), shift.data(), rows + r * width, exec.isa);
    }
  };
  parallel_for(exec, static_cast<int>(p.batch), [&](int row) {
    const float* const x = p.x + row * p.queries * width;
    const float* const ctx = p.ctx + row * p.keys * layer.context_width;
    const uint8_t* const present = p.present ? p.present + row * p.keys : nullptr;
    float* const y = p.y + row * p.queries * width;
    float* const q = thread_scratch(kScratch, static_cast<size_t>(scratch));
    float* const attended = q + p.queries * width;
    float* const hidden = attended + p.queries * width;
    float* const kv = hidden + p.queries * ff;  // K and V of a step beside each other
    float* const weights_row = kv + 2 * p.keys * width;
    gemm(inner, p.queries, {x, width}, layer.Wq, {layer.bq.data()}, q, width);
    gemm(inner, p.keys, {ctx, layer.context_width, present, 1}, layer.Wkv, {layer.bkv.data()}, kv, 2 * width);
    for (int64_t head = 0; head < layer.heads; ++head) {
      const float* const keys = kv + head * head_width;
      for (int64_t t = 0; t < p.queries; ++t) {
        const int64_t at = t * width + head * head_width;
        float* const weights =
            p.alpha ? p.alpha + ((row * layer.heads + head) * p.queries + t) * p.keys : weights_row;
        simd.dots(p.keys, head_width, scale, 0.f, q + at, keys, 2 * width, weights);
        simd.softmax(p.keys, present, weights);
        simd.weighted_sum(p.keys, head_width, weights, keys + width, 2 * width, attended + at);
      }
    }
    float* const u = ff ? q : y;  // the queries are done with
    gemm(inner, p.queries, {attended, width}, layer.Wo, {layer.bo.data()}, u, width);
    if (!ff) return;
    simd.axpy(p.queries * width, 1.f, x, u);
    normalise(u, layer.gain1, layer.shift1);
    gemm(inner, p.queries, {u, width}, layer.W1,
         activation_epilogue(layer.b1.data(), Activation::kRelu, 0.f, exec.isa), hidden, ff);
    gemm(inner, p.queries, {hidden, ff}, layer.W2, {layer.b2.data()}, y, width);
    simd.axpy(p.queries * width, 1.f, u, y);
    normalise(y, layer.gain2, layer.shift2);
  });
}

}  // namespace cinefuse
