#include "linear_backward.h"

#include "linear.h"

namespace cinefuse {

void linear_forward_cpu(const LinearShape& shape, const float* x, const float* W, const float* b, float* y,
                        const Exec& exec);
void linear_backward_cpu(const LinearShape& shape, const LinearGradients& gradients, const Exec& exec);
void linear_backward_device(const LinearShape& shape, const LinearGradients& gradients, const Exec& exec);

void linear_backward_check(const LinearShape& s, size_t x, size_t W, size_t dy) {
  linear_check({s.in, s.out, nullptr, nullptr, Activation::kNone, 0.f}, W, -1);
  linear_check_rows(s.in, s.rows, x);
  CINEFUSE_REQUIRE(static_cast<size_t>(s.rows * s.out) == dy, Code::kShape, "dy",
                   "Expected %lld rows of %lld elements for dy, received %zu elements",
                   static_cast<long long>(s.rows), static_cast<long long>(s.out), dy);
}

void linear_forward(const LinearShape& shape, const float* x, const float* W, const float* b, float* y,
                    const Exec& exec) {
  require_cpu(exec, "linear_forward");  // linear() is the layer on a device
  linear_forward_cpu(shape, x, W, b, y, exec);
}

void linear_backward(const LinearShape& shape, const LinearGradients& gradients, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return linear_backward_device(shape, gradients, exec);
  linear_backward_cpu(shape, gradients, exec);
}

}  // namespace cinefuse
