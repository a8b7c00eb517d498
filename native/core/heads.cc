#include "heads.h"

#include <cstring>

#include "attend_backward_simd.h"
#include "attend_simd.h"

namespace cinefuse {
namespace {

float scale_of(const Heads& p) { return 1.f / __builtin_sqrtf(static_cast<float>(p.head_width)); }

}  // namespace

void heads_forward(const Heads& p, float* alpha, float* attended, Isa isa) {
  const AttendSimd& simd = attend_simd(isa);
  const int64_t width = p.heads * p.head_width;
  for (int64_t head = 0; head < p.heads; ++head) {
    const int64_t column = head * p.head_width;
    for (int64_t t = 0; t < p.queries; ++t, alpha += p.keys) {
      const int64_t at = t * width + column;
      simd.dots(p.keys, p.head_width, scale_of(p), 0.f, p.q + at, p.k + column, width, alpha);
      if (p.others) alpha[t] = -__builtin_inff();
      simd.softmax(p.keys, nullptr, alpha);
      if (p.others) alpha[t] = 0.f;
      simd.weighted_sum(p.keys, p.head_width, alpha, p.v + column, width, attended + at);
    }
  }
}

void heads_backward(const Heads& p, const float* alpha, const float* dattended, float* dq, float* dk,
                    float* dv, float* scratch, Isa isa) {
  const AttendSimd& simd = attend_simd(isa);
  const int64_t width = p.heads * p.head_width;
  std::memset(dk, 0, sizeof(float) * static_cast<size_t>(p.keys * width));
  std::memset(dv, 0, sizeof(float) * static_cast<size_t>(p.keys * width));
  for (int64_t head = 0; head < p.heads; ++head) {
    const int64_t column = head * p.head_width;
    for (int64_t t = 0; t < p.queries; ++t, alpha += p.keys) {
      const int64_t at = t * width + column;
      simd.dots(p.keys, p.head_width, 1.f, 0.f, dattended + at, p.v + column, width, scratch);
      attend_backward_simd(isa).softmax(p.keys, scale_of(p), alpha, scratch, scratch);
      simd.weighted_sum(p.keys, p.head_width, scratch, p.k + column, width, dq + at);
      for (int64_t key = 0; key < p.keys; ++key) {
        if (alpha[key] == 0.f) continue;
        simd.axpy(p.head_width, scratch[key], p.q + at, dk + key * width + column);
        simd.axpy(p.head_width, alpha[key], dattended + at, dv + key * width + column);
      }
    }
  }
}

}  // namespace cinefuse
