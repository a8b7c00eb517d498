#include "word_vectors_simd.h"

#include "../../core/simd.h"

namespace {

constexpr int kMost = 64;  // predictions of one step
constexpr int kSide = 4;   // whose chains of multiply-adds run side by side

template <int N>
CINEFUSE_INLINE void dots(long stride, const float* in, float* const* rows, float* to) {
  V sum[N];
#pragma GCC unroll 4
  for (int k = 0; k < N; ++k) sum[k] = V{};
  for (long i = 0; i < stride; i += W) {
    const V x = load(in + i);
#pragma GCC unroll 4
    for (int k = 0; k < N; ++k) sum[k] += x * load(rows[k] + i);
  }
#pragma GCC unroll 4
  for (int k = 0; k < N; ++k) to[k] = hsum(sum[k]);
}

void step(long stride, float* in, int count, float* const* rows, float rate, float* due) {
  float g[kMost + W];
  int k = 0;
  for (; k + kSide <= count; k += kSide) dots<kSide>(stride, in, rows + k, g + k);
  for (; k < count; ++k) dots<1>(stride, in, rows + k, g + k);
  for (; k % W != 0; ++k) g[k] = 0.f;
  for (k = 0; k < count; k += W) store(g + k, vsigmoid(load(g + k)) * -rate);
  g[0] += rate;
  float* const to = due ? due : in;
  for (long i = 0; i < stride; i += W) {
    const V x = load(in + i);
    V sum = due ? V{} : x;
    for (int r = 0; r < count; ++r) {
      const V y = load(rows[r] + i);
      sum += y * g[r];
      store(rows[r] + i, y + x * g[r]);
    }
    store(to + i, sum);
  }
}

void sum(long stride, const float* x, float scale, float* y) {
  const V s = splat(scale);
  for (long i = 0; i < stride; i += W) store(y + i, (load(y + i) + load(x + i)) * s);
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(WordVectorsSimd, word_vectors_simd) = {step, sum};
}
