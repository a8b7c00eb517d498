#include "activation_backward_device.h"

#include "../../core/device.h"
#include "activation_backward.h"

namespace cinefuse {

void activation_backward_device(const ActivationGradients& g, const Exec& exec) {
  run_on_device(exec, CINEFUSE_ACTIVATION_BACKWARD,
                cinefuse_activation_backward_params{static_cast<int32_t>(g.kind), g.slope, g.rows, g.cols,
                                                    g.x, g.y, g.dy, g.dx});
}

}  // namespace cinefuse
