// Softmax of rows on device memory, for the operators that contain one.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

// y[j] = e^(x_j - max) / sum of each of `rows` rows, or its logarithm; y may be x.
void softmax_rows(cudaStream_t stream, bool logarithm, int64_t rows, int64_t cols, const float* x, float* y);

}  // namespace cinefuse::gpu
