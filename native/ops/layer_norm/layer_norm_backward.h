// Gradients of layer normalisation, x̂ = (x - mean) / sqrt(var + eps):
//
//   dgain = Σ_rows dy ⊙ x̂,  dbias = Σ_rows dy
//   dx = (g ⊙ dy - mean(g ⊙ dy) - x̂ mean(g ⊙ dy ⊙ x̂)) / sqrt(var + eps), means over the row
//
// Mean and variance are computed again from x. Null gradients are not computed.
#pragma once
#include <cstdint>

#include "../../core/exec.h"

namespace cinefuse {

struct LayerNormGradients {
  int64_t rows, cols;
  float eps;
  const float *x, *gain, *dy;  // gain may be null: 1
  float *dx, *dgain, *dbias;   // dx may be dy
};
// Throws for what cannot be run; cheap, for the JS thread. gain: its size, or -1 where it is not given.
void layer_norm_backward_check(const LayerNormGradients& gradients, size_t x, int64_t gain, size_t dy);
void layer_norm_backward(const LayerNormGradients& gradients, const Exec& exec);

}  // namespace cinefuse
