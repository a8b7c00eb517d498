#include "linear_backward_device.h"

#include "../../core/device.h"
#include "linear_backward.h"

namespace cinefuse {

void linear_backward_device(const LinearShape& s, const LinearGradients& g, const Exec& exec) {
  run_on_device(exec, CINEFUSE_LINEAR_BACKWARD,
                cinefuse_linear_backward_params{s.rows, s.in, s.out, g.x, g.W, g.dy, g.dx, g.dW, g.db});
}

}  // namespace cinefuse
