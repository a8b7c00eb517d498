#include "layer_norm_backward.h"

#include "layer_norm.h"

namespace cinefuse {

void layer_norm_backward_cpu(const LayerNormGradients& gradients, const Exec& exec);
void layer_norm_backward_device(const LayerNormGradients& gradients, const Exec& exec);

void layer_norm_backward_check(const LayerNormGradients& p, size_t x, int64_t gain, size_t dy) {
  layer_norm_check({p.rows, p.cols, p.eps, nullptr, nullptr, nullptr, nullptr}, x, gain, -1);
  CINEFUSE_REQUIRE(dy == x, Code::kShape, "dy", "Expected %zu elements for dy, received %zu", x, dy);
}

void layer_norm_backward(const LayerNormGradients& p, const Exec& exec) {
  exec.backend == Backend::kCpu ? layer_norm_backward_cpu(p, exec) : layer_norm_backward_device(p, exec);
}

}  // namespace cinefuse
