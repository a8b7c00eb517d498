// Elementwise activations and the row-wise softmax pair.
//
//   relu        max(x, 0)
//   leaky_relu  x > 0 ? x : slope * x
//   tanh, sigmoid
//   gelu        x/2 * (1 + erf(x / sqrt 2))
//   gelu_tanh   x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))
//   silu        x * sigmoid(x)
//   softplus    ln(1 + e^x)
//   softmax     e^(x_j - max) / sum_k e^(x_k - max) over each row;  log_softmax its logarithm
//
// x, y: (rows, cols) float32, row-major, finite or not (NaN gives NaN); y may be x. Source: the PyTorch
// definitions; Hendrycks and Gimpel 2016 for gelu.
#pragma once
#include <cstdint>

#include "../../core/exec.h"
#include "../../core/gemm/gemm.h"

namespace cinefuse {

enum class Activation : int {
  kNone = 0,
  kRelu,
  kLeakyRelu,
  kTanh,
  kSigmoid,
  kGelu,
  kGeluTanh,
  kSilu,
  kSoftplus,
  kSoftmax,
  kLogSoftmax,
};
constexpr int kActivationCount = 11;
constexpr int kElementwiseActivationCount = 9;  // those before kSoftmax: what layers may carry

struct ActivationParams {
  Activation kind;
  float slope;  // of leaky_relu
  int64_t rows, cols;
  const float* x;
  float* y;
};

// Throws for what cannot be run; cheap, for the JS thread.
void activation_check(const ActivationParams& params, size_t x_size);
void activation(const ActivationParams& params, const Exec& exec);
// One stretch of memory, on the calling thread: for operators that end in an activation. n >= 0; y may be x.
void activation_apply(Activation kind, float slope, int64_t n, const float* x, float* y, Isa isa);
// What a matrix product ends in: + bias (none where null), then an elementwise activation.
Epilogue activation_epilogue(const float* bias, Activation kind, float slope, Isa isa);
// Throws ERR_INPUT_VALUE unless kind is elementwise and slope finite: for layers that carry an activation.
void activation_check_elementwise(Activation kind, float slope);

}  // namespace cinefuse
