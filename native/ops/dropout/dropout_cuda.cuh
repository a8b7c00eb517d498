// Dropout on device memory; as in dropout.h.
#pragma once
#include "../../cuda/device.h"
#include "dropout.h"

namespace cinefuse::gpu {

void dropout(const DropoutParams& params, Call& call);

}  // namespace cinefuse::gpu
