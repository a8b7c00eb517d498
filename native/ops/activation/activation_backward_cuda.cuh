// Gradients of activations on device memory; as in activation_backward.h.
#pragma once
#include "../../cuda/device.h"
#include "activation_backward.h"

namespace cinefuse::gpu {

void activation_backward(const ActivationGradients& gradients, Call& call);

}  // namespace cinefuse::gpu
