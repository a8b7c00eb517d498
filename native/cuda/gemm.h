// C = f(A · Wᵀ + bias) on the device, with W prepared once. A, C: float32, row-major.
//
// kFp32 has float32 accuracy (each product as three TF32 ones whose sums join every 32 k's on the plain
// cores, or all on the plain cores), kTf32 and kBf16 round A and W, for few rows W alone or nothing; sums are
// float32 always. The same call gives the same bits; another number of rows may not. NaN and infinity show
// where they do on the CPU and in no other row or column. Launches and scratch only: it may be captured in a
// graph.
#pragma once
#include "device.h"

namespace cinefuse::gpu {

// Few rows of fewer weights than this are multiplied as float32 even where bfloat16 is asked for: half the
// bytes save no time worth the rounding.
constexpr int64_t kGemmLeastHalfWeights = int64_t{1} << 15;

// Both a float32 and a bfloat16 copy are made at once, 6 bytes a weight: a call, which may be captured and
// run beside others, cannot make one later.
class GemmWeights {
 public:
  GemmWeights() = default;
  // w: host memory, (out, in); bias: host memory, (out), or null
  GemmWeights(Call& call, const float* w, const float* bias, int64_t out, int64_t in);

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  // (out, in) in device memory, rows `stride` (half_stride) numbers apart, a multiple of 16 bytes, zeros
  // between them.
  const float* data() const { return weights_.get(); }
  int64_t stride() const { return (in_ + 3) / 4 * 4; }
  const uint32_t* halves() const { return halves_.get(); }  // bfloat16, two a word
  int64_t half_stride() const { return (in_ + 7) / 8 * 8; }
  const float* bias() const { return bias_.get(); }

 private:
  int64_t in_ = 0, out_ = 0;
  Array<float> weights_, bias_;
  Array<uint32_t> halves_;
};

// Rows of A in device memory, `stride` numbers apart. A row whose presence byte is 0 counts as zeros,
// whatever lies there.
struct GemmRows {
  const float* data;
  int64_t stride;
  const uint8_t* present = nullptr;  // device; of row r: present[r * present_stride]
  int64_t present_stride = 1;
};

// a: (rows, w.in()); c: (rows, w.out()), rows ldc apart; device memory, apart from each other. Any strides;
// fastest where rows begin at multiples of 16 bytes. activation: elementwise (activation_math.cuh), after the
// bias.
void gemm(Call& call, int64_t rows, const GemmRows& a, const GemmWeights& w, int activation, float slope,
          float* c, int64_t ldc);
inline void gemm(Call& call, int64_t rows, const float* a, int64_t lda, const GemmWeights& w, int activation,
                 float slope, float* c, int64_t ldc) {
  gemm(call, rows, GemmRows{a, lda}, w, activation, slope, c, ldc);
}

}  // namespace cinefuse::gpu
