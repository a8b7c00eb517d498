// Losses on device memory; as in loss.h. Arithmetic is in float32, sums in float64.
#pragma once
#include "../../cuda/device.h"
#include "loss.h"

namespace cinefuse::gpu {

void loss(const LossParams& params, Call& call);

}  // namespace cinefuse::gpu
