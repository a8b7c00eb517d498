#include "../../node/boundary.h"
#include "../tensor_fusion/fusion_inputs_node.h"
#include "../tensor_fusion/tensor_fusion_backward.h"
#include "low_rank_fusion_backward.h"

namespace cinefuse {
namespace {

struct Layer {
  LowRankShape shape{};
  LowRankWeights weights{};
  FusionInputs inputs{};
};

// dims, rank, outFeatures, rows, h, present?, factors, rankWeights?, bias? from argument 2 on
Layer read_layer(Call& call) {
  LowRankFusionParams params{};
  params.dims = fusion_dims(call.integers(2, "dims"), kMostFusionModes);
  params.rank = call.integer(3, "rank");
  params.out = call.integer(4, "outFeatures");
  const std::vector<Span<const float>> factors = call.f32_list(8, "factors");
  const Span<const float> rank_weights = call.f32_optional(9, "rankWeights");
  const Span<const float> bias = call.f32_optional(10, "bias");
  std::vector<size_t> sizes;
  for (const Span<const float>& factor : factors) sizes.push_back(factor.size);
  low_rank_fusion_check(params, sizes, call.absent(9) ? -1 : static_cast<int64_t>(rank_weights.size),
                        call.absent(10) ? -1 : static_cast<int64_t>(bias.size));
  Layer layer;
  layer.shape = {params.dims, params.rank, params.out};
  for (size_t m = 0; m < factors.size(); ++m) layer.weights.factors[m] = factors[m].data;
  layer.weights.rank_weights = rank_weights.data;
  layer.weights.bias = bias.data;
  layer.inputs = read_fusion_inputs(call, 5, params.dims);
  return layer;
}

}  // namespace

// lowRankFusionForward(exec, cancel, dims, rank, outFeatures, rows, h, present?, factors, rankWeights?,
// bias?)
//   -> y
Napi::Value low_rank_fusion_forward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const Layer layer = read_layer(call);
  float* y = call.out_f32(SIZE_MAX, "y", static_cast<size_t>(layer.inputs.rows * layer.shape.out)).data;
  return call.run([=](const Exec& exec) {
    std::vector<float> saved;
    if (exec.backend == Backend::kCpu) saved.resize(low_rank_fusion_saved(layer.shape, layer.inputs.rows));
    low_rank_fusion_forward(layer.shape, layer.inputs, layer.weights, y, saved.data(), exec);
  });
}

// lowRankFusionBackward(exec, cancel, dims, rank, outFeatures, rows, h, present?, factors, rankWeights?,
// undefined, dy)
//   -> [dh_1, ..., dF_1, ..., dRankWeights, dBias]
Napi::Value low_rank_fusion_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const Layer layer = read_layer(call);
  const FusionDims& dims = layer.shape.dims;
  const Span<const float> dy = call.f32(11, "dy");
  fusion_check_gradient(layer.inputs.rows, layer.shape.out, dy.size, "dy");
  LowRankGradients gradients{};
  gradients.dy = dy.data;
  const size_t modes = static_cast<size_t>(dims.modes), rank = static_cast<size_t>(layer.shape.rank),
               out = static_cast<size_t>(layer.shape.out), rows = static_cast<size_t>(layer.inputs.rows);
  for (size_t m = 0; m < modes; ++m) {
    gradients.dh[m] = call.out_f32(SIZE_MAX, "dh", rows * static_cast<size_t>(dims.d[m])).data;
  }
  for (size_t m = 0; m < modes; ++m) {
    gradients.dfactors[m] =
        call.out_f32(SIZE_MAX, "dFactors", rank * static_cast<size_t>(dims.d[m] + 1) * out).data;
  }
  gradients.drank_weights = call.out_f32(SIZE_MAX, "dRankWeights", rank).data;
  gradients.dbias = call.out_f32(SIZE_MAX, "dBias", out).data;
  return call.run([=](const Exec& exec) {
    std::vector<float> saved;
    if (exec.backend == Backend::kCpu) {  // a device forms its own
      saved.resize(low_rank_fusion_saved(layer.shape, layer.inputs.rows));
      std::vector<float> y(rows * out);
      low_rank_fusion_forward(layer.shape, layer.inputs, layer.weights, y.data(), saved.data(), exec);
    }
    low_rank_fusion_backward(layer.shape, layer.inputs, layer.weights, saved.data(), gradients, exec);
  });
}

}  // namespace cinefuse
