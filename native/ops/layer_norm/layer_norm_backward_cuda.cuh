// Gradients of layer normalisation on device memory; as in layer_norm_backward.h.
#pragma once
#include "../../cuda/device.h"
#include "layer_norm_backward.h"

namespace cinefuse::gpu {

void layer_norm_backward(const LayerNormGradients& gradients, Call& call);

}  // namespace cinefuse::gpu
