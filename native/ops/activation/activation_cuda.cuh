// Activations on device memory, for the operators that contain one.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

// y[i] = f(x[i]); n > 0, x and y aligned to 16; kind: elementwise ones of enum class Activation.
void activation_rows(cudaStream_t stream, int kind, float slope, int64_t n, const float* x, float* y);

}  // namespace cinefuse::gpu
