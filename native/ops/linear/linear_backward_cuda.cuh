// The linear layer in training on device memory; as in linear_backward.h. float32 on the plain cores whatever
// the call's precision; the same call gives the same bits. Launches and scratch only.
#pragma once
#include "../../cuda/device.h"
#include "linear_backward.h"

namespace cinefuse::gpu {

using cinefuse::LinearGradients;
using cinefuse::LinearShape;

void linear_forward(const LinearShape& shape, const float* x, const float* W, const float* b, float* y,
                    Call& call);
void linear_backward(const LinearShape& shape, const LinearGradients& gradients, Call& call);

}  // namespace cinefuse::gpu
