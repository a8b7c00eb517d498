#include "optimizer_device.h"

#include "../../core/device.h"
#include "optimizer.h"

namespace cinefuse {

void optimizer_step_device(const OptimizerParams& params, int64_t n, float* p, const float* g, float* m,
                           float* v, const Exec& exec) {
  const bool adam = params.kind != OptimizerKind::kSgd;
  run_on_device(exec, CINEFUSE_OPTIMIZER,
                cinefuse_optimizer_params{adam, optimizer_step_of(params), n, g, p,
                                          adam || params.momentum > 0.f ? m : nullptr, adam ? v : nullptr});
}

double squared_norm_device(int64_t n, const float* g, const Exec& exec) {
  double sum = 0.;
  run_on_device(exec, CINEFUSE_SQUARED_NORM, cinefuse_squared_norm_params{n, g, &sum});
  return sum;
}

}  // namespace cinefuse
