// Layer normalisation of rows: y = (x - mean) / sqrt(var + eps) * g + b.
//
// x, y: (rows, cols) float32, row-major; g, b: (cols), or null for 1 and 0; y may be x. mean and var (biased)
// are of each row, in two passes over values shifted by the row's first, so that an offset far above the
// spread costs no accuracy. A row with a NaN or infinity becomes NaN. Source: torch.nn.LayerNorm.
#pragma once
#include "../../core/exec.h"

namespace cinefuse {

struct LayerNormParams {
  int64_t rows, cols;
  float eps;
  const float* x;
  const float* gain;  // or null
  const float* bias;  // or null
  float* y;
};

// Throws ERR_SHAPE, ERR_INPUT_VALUE; sizes of gain and bias are -1 where none is given.
void layer_norm_check(const LayerNormParams& params, size_t x_size, int64_t gain_size, int64_t bias_size);
void layer_norm(const LayerNormParams& params, const Exec& exec);
// One row on the calling thread: for operators that end in a normalisation. y may be x.
void layer_norm_row(int64_t cols, float eps, const float* x, const float* gain, const float* bias, float* y,
                    Isa isa);

}  // namespace cinefuse
