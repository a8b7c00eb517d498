#include <cstring>

#include "../../core/attend_simd.h"
#include "../activation/activation.h"
#include "../layer_norm/layer_norm.h"
#include "cross_modal.h"

namespace cinefuse {
namespace {

constexpr float kEps = 1e-5f;

void copy(const float* from, int64_t n, float* to) {
  std::memcpy(to, from, sizeof(float) * static_cast<size_t>(n));
}

// Scratch: the vectors present, one after the other; their queries and then what the block leaves; their keys
// and values beside each other; the attended; the hidden layer.
struct Buffers {
  float *x, *q, *kv, *attended, *hidden;
  size_t floats;

  Buffers(const CrossModal& layer, int64_t vectors, float* base) {
    const int64_t d = layer.d;
    x = base;
    q = x + vectors * d;
    kv = q + vectors * d;
    attended = kv + 2 * vectors * d;
    hidden = attended + vectors * d;
    const int64_t ff = layer.blocks.empty() ? 0 : layer.blocks[0].ff;
    floats = static_cast<size_t>(vectors * (5 * d + ff));
  }
};

void add_norm(const CrossAttention& layer, int64_t n, const float* x, float* y,
              const std::vector<float>& gain, const std::vector<float>& shift, float* to, const Exec& exec) {
  attend_simd(exec.isa).axpy(n * layer.width, 1.f, x, y);
  for (int64_t i = 0; i < n; ++i) {
    layer_norm_row(layer.width, kEps, y + i * layer.width, gain.data(), shift.data(), to + i * layer.width,
                   exec.isa);
  }
}

// Each of the n vectors of a row attends to the others.
void attend_others(const CrossAttention& layer, int64_t n, const float* q, const float* kv, float* attended,
                   Isa isa) {
  const AttendSimd& simd = attend_simd(isa);
  const int64_t d = layer.width, head_width = d / layer.heads;
  const float scale = 1.f / __builtin_sqrtf(static_cast<float>(head_width));
  for (int64_t column = 0; column < d; column += head_width) {
    for (int64_t i = 0; i < n; ++i) {
      float weights[kMaxAttendedModalities];
      simd.dots(n, head_width, scale, 0.f, q + i * d + column, kv + column, 2 * d, weights);
      weights[i] = -__builtin_inff();
      simd.softmax(n, nullptr, weights);
      weights[i] = 0.f;
      simd.weighted_sum(n, head_width, weights, kv + d + column, 2 * d, attended + i * d + column);
    }
  }
}

}  // namespace

size_t cross_modal_scratch(const CrossModal& layer, int64_t rows, int64_t modalities) {
  return Buffers(layer, rows * modalities, nullptr).floats;
}

void cross_modal_rows(const CrossModal& layer, int64_t rows, int64_t m, const float* h, const uint8_t* mask,
                      float* c, float* scratch, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t d = layer.d;
  const Buffers b(layer, rows * m, scratch);
  const auto has = [&](int64_t i) { return !mask || mask[i] != 0; };
  const auto count = [&](int64_t row) {
    int64_t n = 0;
    for (int64_t i = 0; i < m; ++i) n += has(row * m + i);
    return n;
  };
  int64_t n = 0;
  for (int64_t i = 0; i < rows * m; ++i) {
    if (has(i)) copy(h + i * d, d, b.x + n++ * d);
  }
  for (const CrossAttention& block : layer.blocks) {
    gemm(exec, n, {b.x, d}, block.Wq, {block.bq.data()}, b.q, d);
    gemm(exec, n, {b.x, d}, block.Wkv, {block.bkv.data()}, b.kv, 2 * d);
    for (int64_t r = 0, at = 0; r < rows; ++r) {
      const int64_t there = count(r);
      attend_others(block, there, b.q + at * d, b.kv + 2 * at * d, b.attended + at * d, exec.isa);
      at += there;
    }
    float* const u = b.q;  // the queries are done with
    gemm(exec, n, {b.attended, d}, block.Wo, {block.bo.data()}, u, d);
    add_norm(block, n, b.x, u, block.gain1, block.shift1, u, exec);
    gemm(exec, n, {u, d}, block.W1, activation_epilogue(block.b1.data(), Activation::kRelu, 0.f, exec.isa),
         b.hidden, block.ff);
    gemm(exec, n, {b.hidden, block.ff}, block.W2, {block.b2.data()}, b.attended, d);
    add_norm(block, n, u, b.attended, block.gain2, block.shift2, b.x, exec);
  }
  const float* x = b.x;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t there = count(r);
    float weights[kMaxAttendedModalities];
    for (int64_t i = 0; i < there; ++i) weights[i] = 1.f / static_cast<float>(there);
    simd.weighted_sum(there, d, weights, x, d, c + r * d);
    x += there * d;
  }
}

}  // namespace cinefuse
