// C = f(A · Wᵀ + bias) on the device, with W prepared once. A, C: float32, row-major.
//
// kFp32 has float32 accuracy (each product as three TF32 ones, or on the plain cores), kTf32 and kBf16 round
// A and W; sums are float32 always. The same call gives the same bits; another number of rows may not. NaN
// and infinity in a row of A show in that row alone. Launches and scratch only: it may be captured in a
// graph.
#pragma once
#include "device.h"

namespace cinefuse::gpu {

class GemmWeights {
 public:
  GemmWeights() = default;
  // w: host memory, (out, in); bias: host memory, (out), or null
  GemmWeights(Call& call, const float* w, const float* bias, int64_t out, int64_t in);

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }

 private:
  friend void gemm(Call&, int64_t, const float*, int64_t, const GemmWeights&, int, float, float*, int64_t);
  int64_t in_ = 0, out_ = 0;
  Array<float> weights_, bias_;
};

// a: (rows, w.in()), rows lda apart; c: (rows, w.out()), rows ldc apart; device memory, apart from each
// other. Any lda and ldc; fastest where rows of A begin at multiples of 16 bytes. activation: elementwise
// (activation_math.cuh), after the bias.
void gemm(Call& call, int64_t rows, const float* a, int64_t lda, const GemmWeights& w, int activation,
          float slope, float* c, int64_t ldc);

}  // namespace cinefuse::gpu
