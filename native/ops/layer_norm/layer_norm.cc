#include "layer_norm.h"

#include <cmath>

namespace cinefuse {

void layer_norm_cpu(const LayerNormParams& params, const Exec& exec);
void layer_norm_device(const LayerNormParams& params, const Exec& exec);

void layer_norm_check(const LayerNormParams& p, size_t x_size, int64_t gain_size, int64_t bias_size) {
  CINEFUSE_REQUIRE(std::isfinite(p.eps) && p.eps >= 0.f, Code::kInputValue, "eps",
                   "Expected a finite eps >= 0, received %g", static_cast<double>(p.eps));
  CINEFUSE_REQUIRE(p.cols >= 1 && p.cols < (int64_t{1} << 31), Code::kShape, "cols",
                   "Expected 1..2^31-1 for cols, received %lld", static_cast<long long>(p.cols));
  CINEFUSE_REQUIRE(
      p.rows >= 0 && p.rows < (int64_t{1} << 31) && static_cast<size_t>(p.rows * p.cols) == x_size,
      Code::kShape, "x", "Expected %lld rows of %lld elements for x, received %zu elements",
      static_cast<long long>(p.rows), static_cast<long long>(p.cols), x_size);
  CINEFUSE_REQUIRE(gain_size == -1 || gain_size == p.cols, Code::kShape, "gain",
                   "Expected %lld elements for gain, received %lld", static_cast<long long>(p.cols),
                   static_cast<long long>(gain_size));
  CINEFUSE_REQUIRE(bias_size == -1 || bias_size == p.cols, Code::kShape, "bias",
                   "Expected %lld elements for bias, received %lld", static_cast<long long>(p.cols),
                   static_cast<long long>(bias_size));
}

void layer_norm(const LayerNormParams& params, const Exec& exec) {
  exec.backend == Backend::kCpu ? layer_norm_cpu(params, exec) : layer_norm_device(params, exec);
}

}  // namespace cinefuse
