#include "dropout_device.h"

#include "../../core/device.h"
#include "dropout.h"

namespace cinefuse {

void dropout_device(const DropoutParams& p, const Exec& exec) {
  run_on_device(exec, CINEFUSE_DROPOUT, cinefuse_dropout_params{p.p, p.seed, p.stream, p.n, p.x, p.y});
}

}  // namespace cinefuse
