#include "loss_device.h"

#include "../../core/device.h"
#include "loss.h"

namespace cinefuse {

void loss_device(const LossParams& p, const Exec& exec) {
  run_on_device(exec, CINEFUSE_LOSS,
                cinefuse_loss_params{static_cast<int32_t>(p.kind), static_cast<int32_t>(p.reduction), p.rows,
                                     p.cols, p.delta, p.smoothing, p.x, p.target, p.class_weights,
                                     p.row_weights, p.loss, p.dx});
}

}  // namespace cinefuse
