// Optimisers on device memory; as in optimizer.h.
#pragma once
#include "../../cuda/device.h"
#include "optimizer_step.h"

namespace cinefuse::gpu {

// In place. adam: otherwise sgd, where m may be null and v is not used. step: of optimizer_step_of, on the
// host. clip: a factor of the gradient that the device found, or null; NaN: nothing is changed.
void optimizer_step(bool adam, const OptimizerStep& step, int64_t n, float* p, const float* g, float* m,
                    float* v, Call& call, const float* clip = nullptr);
// *sum = Σ g², in float64 and a fixed order; device memory.
void squared_norm(int64_t n, const float* g, double* sum, Call& call);

}  // namespace cinefuse::gpu
