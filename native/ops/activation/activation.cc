#include "activation.h"

#include <cmath>

namespace cinefuse {

void activation_cpu(const ActivationParams& params, const Exec& exec);
void activation_device(const ActivationParams& params, const Exec& exec);

void activation_check(const ActivationParams& p, size_t x_size) {
  const int kind = static_cast<int>(p.kind);
  CINEFUSE_REQUIRE(kind >= 0 && kind < kActivationCount, Code::kInputValue, "kind",
                   "Expected an activation 0..%d, received %d", kActivationCount - 1, kind);
  CINEFUSE_REQUIRE(std::isfinite(p.slope), Code::kInputValue, "slope", "Expected a finite slope, received %g",
                   static_cast<double>(p.slope));
  CINEFUSE_REQUIRE(p.rows >= 0 && p.cols >= 1 && p.rows < (int64_t{1} << 40) && p.cols < (int64_t{1} << 31),
                   Code::kShape, "x", "Expected a shape (rows, cols) with cols >= 1, received (%lld, %lld)",
                   static_cast<long long>(p.rows), static_cast<long long>(p.cols));
  CINEFUSE_REQUIRE(static_cast<size_t>(p.rows) * static_cast<size_t>(p.cols) == x_size, Code::kShape, "x",
                   "Expected %lld elements for x of shape (%lld, %lld), received %zu",
                   static_cast<long long>(p.rows * p.cols), static_cast<long long>(p.rows),
                   static_cast<long long>(p.cols), x_size);
}

void activation_check_elementwise(Activation kind, float slope) {
  const int index = static_cast<int>(kind);
  CINEFUSE_REQUIRE(index >= 0 && index < kElementwiseActivationCount, Code::kInputValue, "activation",
                   "Expected an elementwise activation 0..%d, received %d", kElementwiseActivationCount - 1,
                   index);
  CINEFUSE_REQUIRE(std::isfinite(slope), Code::kInputValue, "slope", "Expected a finite slope, received %g",
                   static_cast<double>(slope));
}

void activation(const ActivationParams& params, const Exec& exec) {
  exec.backend == Backend::kCpu ? activation_cpu(params, exec) : activation_device(params, exec);
}

}  // namespace cinefuse
