#include "low_rank_fusion.h"

namespace cinefuse {

void low_rank_fusion_cpu(const LowRankFusion& layer, const FusionInputs& inputs, float* y, const Exec& exec);
void low_rank_fusion_device(const LowRankFusion& layer, const FusionInputs& inputs, float* y,
                            const Exec& exec);

size_t LowRankFusion::bytes() const {
  size_t bytes = 0;
  for (const PackedMatrix& factor : factors) bytes += factor.bytes();
  return bytes;
}

void low_rank_fusion_check(const LowRankFusionParams& p, const std::vector<size_t>& factor_sizes,
                           int64_t rank_weights_size, int64_t bias_size) {
  activation_check_elementwise(p.activation, p.slope);
  weight_type_check(p.weight_type);
  CINEFUSE_REQUIRE(p.rank >= 1 && p.rank <= 65535, Code::kShape, "rank",
                   "Expected 1..65535 for rank, received %lld", static_cast<long long>(p.rank));
  CINEFUSE_REQUIRE(p.out >= 1 && p.out <= (int64_t{1} << 30) / p.rank, Code::kShape, "outFeatures",
                   "Expected 1..2^30/rank for outFeatures, received %lld", static_cast<long long>(p.out));
  CINEFUSE_REQUIRE(factor_sizes.size() == static_cast<size_t>(p.dims.modes), Code::kShape, "factors",
                   "Expected %d arrays for factors, received %zu", p.dims.modes, factor_sizes.size());
  for (size_t m = 0; m < factor_sizes.size(); ++m) {
    const int64_t expected = p.rank * (p.dims.d[m] + 1) * p.out;
    CINEFUSE_REQUIRE(factor_sizes[m] == static_cast<size_t>(expected), Code::kShape,
                     format("factors[%zu]", m),
                     "Expected %lld elements for factors[%zu] of shape (%lld, %d, %lld), received %zu",
                     static_cast<long long>(expected), m, static_cast<long long>(p.rank), p.dims.d[m] + 1,
                     static_cast<long long>(p.out), factor_sizes[m]);
  }
  CINEFUSE_REQUIRE(rank_weights_size == -1 || rank_weights_size == p.rank, Code::kShape, "rankWeights",
                   "Expected %lld elements for rankWeights, received %lld", static_cast<long long>(p.rank),
                   static_cast<long long>(rank_weights_size));
  CINEFUSE_REQUIRE(bias_size == -1 || bias_size == p.out, Code::kShape, "bias",
                   "Expected %lld elements for bias, received %lld", static_cast<long long>(p.out),
                   static_cast<long long>(bias_size));
}

LowRankFusion low_rank_fusion_prepare(const LowRankFusionParams& p) {
  LowRankFusion layer;
  layer.dims = p.dims;
  layer.rank = p.rank;
  layer.out = p.out;
  layer.activation = p.activation;
  layer.slope = p.slope;
  for (size_t m = 0; m < static_cast<size_t>(p.dims.modes); ++m) {
    const int64_t d = p.dims.d[m];
    PackedMatrix factor(d, p.rank * p.out, p.weight_type);
    std::vector<float> ones;
    for (int64_t r = 0; r < p.rank; ++r) {
      const float* f = p.factors[m] + r * (d + 1) * p.out;
      factor.fill(r * p.out, p.out, f, 1, p.out);
      ones.insert(ones.end(), f + d * p.out, f + (d + 1) * p.out);
    }
    layer.factors.push_back(std::move(factor));
    layer.ones.push_back(std::move(ones));
  }
  layer.rank_weights.assign(static_cast<size_t>(p.rank), 1.f);
  if (p.rank_weights) layer.rank_weights.assign(p.rank_weights, p.rank_weights + p.rank);
  layer.bias.assign(static_cast<size_t>(p.out), 0.f);
  if (p.bias) layer.bias.assign(p.bias, p.bias + p.out);
  return layer;
}

void low_rank_fusion(const LowRankFusion& layer, const FusionInputs& inputs, float* y, const Exec& exec) {
  exec.backend == Backend::kCpu ? low_rank_fusion_cpu(layer, inputs, y, exec)
                                : low_rank_fusion_device(layer, inputs, y, exec);
}

}  // namespace cinefuse
