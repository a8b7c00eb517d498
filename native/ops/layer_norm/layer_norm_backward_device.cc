#include "layer_norm_backward_device.h"

#include "../../core/device.h"
#include "layer_norm_backward.h"

namespace cinefuse {

void layer_norm_backward_device(const LayerNormGradients& g, const Exec& exec) {
  run_on_device(
      exec, CINEFUSE_LAYER_NORM_BACKWARD,
      cinefuse_layer_norm_backward_params{g.rows, g.cols, g.eps, g.x, g.gain, g.dy, g.dx, g.dgain, g.dbias});
}

}  // namespace cinefuse
