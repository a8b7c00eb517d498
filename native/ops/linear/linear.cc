#include "linear.h"

namespace cinefuse {

void linear_device(const Linear& layer, int64_t rows, const float* x, float* y, const Exec& exec);

void linear_check(const LinearParams& p, size_t weight_size, int64_t bias_size) {
  activation_check_elementwise(p.activation, p.slope);
  constexpr int64_t kMost = int64_t{1} << 30;
  CINEFUSE_REQUIRE(p.in >= 1 && p.in <= kMost, Code::kShape, "inFeatures",
                   "Expected 1..2^30 for inFeatures, received %lld", static_cast<long long>(p.in));
  CINEFUSE_REQUIRE(p.out >= 1 && p.out <= kMost, Code::kShape, "outFeatures",
                   "Expected 1..2^30 for outFeatures, received %lld", static_cast<long long>(p.out));
  CINEFUSE_REQUIRE(static_cast<size_t>(p.in * p.out) == weight_size, Code::kShape, "weight",
                   "Expected %lld elements for weight of shape (%lld, %lld), received %zu",
                   static_cast<long long>(p.in * p.out), static_cast<long long>(p.out),
                   static_cast<long long>(p.in), weight_size);
  CINEFUSE_REQUIRE(bias_size == -1 || bias_size == p.out, Code::kShape, "bias",
                   "Expected %lld elements for bias, received %lld", static_cast<long long>(p.out),
                   static_cast<long long>(bias_size));
}

Linear linear_prepare(const LinearParams& p, const Exec& exec) {
  Linear layer;
  layer.weight = PackedMatrix::pack(exec, p.weight, p.out, p.in, p.weight_type);
  if (p.bias) layer.bias.assign(p.bias, p.bias + p.out);
  layer.activation = p.activation;
  layer.slope = p.slope;
  return layer;
}

void linear_check_rows(int64_t in, int64_t rows, size_t x_size) {
  CINEFUSE_REQUIRE(
      rows >= 0 && rows < (int64_t{1} << 31) && static_cast<size_t>(rows) * static_cast<size_t>(in) == x_size,
      Code::kShape, "x", "Expected %lld rows of %lld elements for x, received %zu elements",
      static_cast<long long>(rows), static_cast<long long>(in), x_size);
}

void linear(const Linear& layer, int64_t rows, const float* x, float* y, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return linear_device(layer, rows, x, y, exec);
  gemm(exec, rows, MatrixRows{x, layer.in()}, layer.weight, layer.epilogue(exec.isa), y, layer.out());
}

}  // namespace cinefuse
