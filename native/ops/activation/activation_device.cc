#include "activation_device.h"

#include "../../core/device.h"
#include "activation.h"

namespace cinefuse {

void activation_device(const ActivationParams& p, const Exec& exec) {
  run_on_device(exec, CINEFUSE_ACTIVATION,
                cinefuse_activation_params{static_cast<int32_t>(p.kind), p.slope, p.rows, p.cols, p.x, p.y});
}

}  // namespace cinefuse
