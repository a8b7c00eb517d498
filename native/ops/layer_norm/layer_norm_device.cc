#include "layer_norm_device.h"

#include "../../core/device.h"
#include "layer_norm.h"

namespace cinefuse {

void layer_norm_device(const LayerNormParams& p, const Exec& exec) {
  run_on_device(exec, CINEFUSE_LAYER_NORM,
                cinefuse_layer_norm_params{p.rows, p.cols, p.eps, 0, p.x, p.gain, p.bias, p.y});
}

}  // namespace cinefuse
