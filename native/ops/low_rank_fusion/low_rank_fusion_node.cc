#include "../tensor_fusion/fusion_inputs_node.h"
#include "low_rank_fusion.h"

namespace cinefuse {
namespace {

const HandleTag kLowRankFusionTag = {"LowRankFusion"};

}  // namespace

// lowRankFusionPrepare(exec, cancel, dims, rank, outFeatures, factors, rankWeights?, bias?, activation,
// slope, weightType) -> handle
Napi::Value low_rank_fusion_prepare_node(const Napi::CallbackInfo& info) {
  Call call(info);
  LowRankFusionParams params{};
  params.dims = fusion_dims(call.integers(2, "dims"), kMostFusionModes);
  params.rank = call.integer(3, "rank");
  params.out = call.integer(4, "outFeatures");
  const std::vector<Span<const float>> factors = call.f32_list(5, "factors");
  const Span<const float> rank_weights = call.f32_optional(6, "rankWeights");
  const Span<const float> bias = call.f32_optional(7, "bias");
  params.activation = static_cast<Activation>(call.int32(8, "activation"));
  params.slope = call.float32(9, "slope");
  params.weight_type = static_cast<WeightType>(call.int32(10, "weightType"));
  params.rank_weights = rank_weights.data;
  params.bias = bias.data;
  std::vector<size_t> sizes;
  for (const Span<const float>& factor : factors) sizes.push_back(factor.size);
  low_rank_fusion_check(params, sizes, call.absent(6) ? -1 : static_cast<int64_t>(rank_weights.size),
                        call.absent(7) ? -1 : static_cast<int64_t>(bias.size));
  for (size_t m = 0; m < factors.size(); ++m) params.factors[m] = factors[m].data;
  const auto layer = std::make_shared<LowRankFusion>();
  return call.run([=](const Exec&) { *layer = low_rank_fusion_prepare(params); },
                  [=](Napi::Env env) {
                    return make_handle(env, kLowRankFusionTag, layer, static_cast<int64_t>(layer->bytes()));
                  });
}

// lowRankFusionRun(exec, cancel, handle, rows, h, present?, out?) -> y
Napi::Value low_rank_fusion_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto layer = open_handle<LowRankFusion>(call.argument(2), kLowRankFusionTag, "handle");
  const FusionInputs inputs = read_fusion_inputs(call, 3, layer->dims);
  const Span<float> y = call.out_f32(6, "out", static_cast<size_t>(inputs.rows * layer->out));
  fusion_check_out(layer->dims, inputs, y.data, y.size);
  return call.run([=](const Exec& exec) { low_rank_fusion(*layer, inputs, y.data, exec); });
}

}  // namespace cinefuse
