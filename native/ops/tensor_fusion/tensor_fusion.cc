#include "tensor_fusion.h"

namespace cinefuse {

void tensor_fusion_cpu(const TensorFusion& layer, const FusionInputs& inputs, float* y, const Exec& exec);
void tensor_fusion_device(const TensorFusion& layer, const FusionInputs& inputs, float* y, const Exec& exec);
void outer_product_cpu(const FusionDims& dims, const FusionInputs& inputs, float* z, const Exec& exec);
void outer_product_device(const FusionDims& dims, const FusionInputs& inputs, float* z, const Exec& exec);

namespace {

// Π(d_m+1) · count · 4 bytes, which saturates instead of overflowing.
double bytes_of(const FusionDims& dims, int64_t count) {
  double bytes = 4. * static_cast<double>(count);
  for (int m = 0; m < dims.modes; ++m) bytes *= dims.d[static_cast<size_t>(m)] + 1.;
  return bytes;
}

}  // namespace

void tensor_fusion_check(const TensorFusionParams& p, size_t weight_size, int64_t bias_size) {
  activation_check_elementwise(p.activation, p.slope);
  weight_type_check(p.weight_type);
  CINEFUSE_REQUIRE(p.out >= 1 && p.out <= (int64_t{1} << 30), Code::kShape, "outFeatures",
                   "Expected 1..2^30 for outFeatures, received %lld", static_cast<long long>(p.out));
  CINEFUSE_REQUIRE(
      bytes_of(p.dims, p.out) <= static_cast<double>(kMostFusionBytes), Code::kShape, "dims",
      "Tensor fusion of these dims needs %.0f MB of weights, more than the %lld MB it is good for; "
      "use low-rank fusion (LowRankFusion) or smaller dims",
      bytes_of(p.dims, p.out) / 1e6, static_cast<long long>(kMostFusionBytes / 1000000));
  const int64_t in = p.dims.product();
  CINEFUSE_REQUIRE(static_cast<size_t>(in * p.out) == weight_size, Code::kShape, "weight",
                   "Expected %lld elements for weight of shape (%lld, %lld), received %zu",
                   static_cast<long long>(in * p.out), static_cast<long long>(p.out),
                   static_cast<long long>(in), weight_size);
  CINEFUSE_REQUIRE(bias_size == -1 || bias_size == p.out, Code::kShape, "bias",
                   "Expected %lld elements for bias, received %lld", static_cast<long long>(p.out),
                   static_cast<long long>(bias_size));
}

TensorFusion tensor_fusion_prepare(const TensorFusionParams& p, const Exec& exec) {
  TensorFusion layer{p.dims,  PackedMatrix::pack(exec, p.weight, p.out, p.dims.product(), p.weight_type),
                     {},      p.activation,
                     p.slope, {}};
  if (p.bias) layer.bias.assign(p.bias, p.bias + p.out);
  return layer;
}

void tensor_fusion(const TensorFusion& layer, const FusionInputs& inputs, float* y, const Exec& exec) {
  exec.backend == Backend::kCpu ? tensor_fusion_cpu(layer, inputs, y, exec)
                                : tensor_fusion_device(layer, inputs, y, exec);
}

void outer_product_check(const FusionDims& dims, int64_t rows) {
  CINEFUSE_REQUIRE(
      bytes_of(dims, rows) <= static_cast<double>(kMostFusionBytes), Code::kShape, "h",
      "The outer product would take %.0f MB, more than the %lld MB allowed; TensorFusion multiplies "
      "it without writing it, LowRankFusion does without it",
      bytes_of(dims, rows) / 1e6, static_cast<long long>(kMostFusionBytes / 1000000));
}

void outer_product(const FusionDims& dims, const FusionInputs& inputs, float* z, const Exec& exec) {
  exec.backend == Backend::kCpu ? outer_product_cpu(dims, inputs, z, exec)
                                : outer_product_device(dims, inputs, z, exec);
}

}  // namespace cinefuse
