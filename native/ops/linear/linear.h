// Fully connected layer: y = f(x · Wᵀ + b), f elementwise.
//
// x: (rows, in), W: (out, in), b: (out) or none, y: (rows, out), float32, row-major. Determinism and
// non-finite values as core/gemm/gemm.h says. Source: torch.nn.Linear.
#pragma once
#include <memory>
#include <vector>

#include "../../core/device.h"
#include "../activation/activation.h"

namespace cinefuse {

struct LinearParams {
  int64_t in, out;
  const float* weight;
  const float* bias;  // or null
  Activation activation;
  float slope;
  WeightType weight_type = WeightType::kFloat32;
};

// Weights made ready once. Immutable: any number of calls may run on it at a time.
struct Linear {
  PackedMatrix weight;
  std::vector<float> bias;  // empty: none
  Activation activation = Activation::kNone;
  float slope = 0.f;
  DeviceTwins twins;

  int64_t in() const { return weight.in(); }
  int64_t out() const { return weight.out(); }
  Epilogue epilogue(Isa isa) const {
    return activation_epilogue(bias.empty() ? nullptr : bias.data(), activation, slope, isa);
  }
};

// Throws ERR_SHAPE, ERR_INPUT_VALUE; cheap, for the JS thread. bias_size is -1 where none is given.
void linear_check(const LinearParams& params, size_t weight_size, int64_t bias_size);
Linear linear_prepare(const LinearParams& params, const Exec& exec);

// Throws ERR_SHAPE when x is not (rows, in).
void linear_check_rows(int64_t in, int64_t rows, size_t x_size);
void linear(const Linear& layer, int64_t rows, const float* x, float* y, const Exec& exec);

}  // namespace cinefuse
