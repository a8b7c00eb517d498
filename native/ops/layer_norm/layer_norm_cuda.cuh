// Layer normalisation on device memory, for the operators that end in one.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

// y = act(LN(x) * gain + bias) of `rows` rows; y may be x. gain, bias: (cols) or null. activation:
// elementwise.
void layer_norm_rows(cudaStream_t stream, int64_t rows, int64_t cols, float eps, const float* x,
                     const float* gain, const float* bias, int activation, float slope, float* y);
// y = LN(x + residual) * gain + bias; y may be either.
void add_layer_norm_rows(cudaStream_t stream, int64_t rows, int64_t cols, float eps, const float* x,
                         const float* residual, const float* gain, const float* bias, float* y);

}  // namespace cinefuse::gpu
