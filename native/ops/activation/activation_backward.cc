#include "activation_backward.h"

namespace cinefuse {

void activation_backward_cpu(const ActivationGradients& gradients, const Exec& exec);
void activation_backward_device(const ActivationGradients& gradients, const Exec& exec);

void activation_backward_check(const ActivationGradients& p, size_t x, int64_t y, size_t dy) {
  activation_check({p.kind, p.slope, p.rows, p.cols, nullptr, nullptr}, x);
  CINEFUSE_REQUIRE(y == -1 || static_cast<size_t>(y) == x, Code::kShape, "y",
                   "Expected %zu elements for y, received %lld", x, static_cast<long long>(y));
  CINEFUSE_REQUIRE(dy == x, Code::kShape, "dy", "Expected %zu elements for dy, received %zu", x, dy);
}

void activation_backward(const ActivationGradients& p, const Exec& exec) {
  exec.backend == Backend::kCpu ? activation_backward_cpu(p, exec) : activation_backward_device(p, exec);
}

}  // namespace cinefuse
