#include "../../node/boundary.h"
#include "fusion_inputs_node.h"
#include "tensor_fusion.h"

namespace cinefuse {
namespace {

const HandleTag kTensorFusionTag = {"TensorFusion"};

}  // namespace

// tensorFusionPrepare(exec, cancel, dims, outFeatures, weight, bias?, activation, slope, weightType)
//   -> handle
Napi::Value tensor_fusion_prepare_node(const Napi::CallbackInfo& info) {
  Call call(info);
  TensorFusionParams params{};
  params.dims = fusion_dims(call.integers(2, "dims"), kMostTensorModes);
  params.out = call.integer(3, "outFeatures");
  const Span<const float> weight = call.f32(4, "weight");
  const Span<const float> bias = call.f32_optional(5, "bias");
  params.activation = static_cast<Activation>(call.int32(6, "activation"));
  params.slope = call.float32(7, "slope");
  params.weight_type = static_cast<WeightType>(call.int32(8, "weightType"));
  params.weight = weight.data;
  params.bias = bias.data;
  tensor_fusion_check(params, weight.size, call.absent(5) ? -1 : static_cast<int64_t>(bias.size));
  const auto layer = std::make_shared<TensorFusion>();
  return call.run([=](const Exec& exec) { *layer = tensor_fusion_prepare(params, exec); },
                  [=](Napi::Env env) {
                    return make_handle(env, kTensorFusionTag, layer,
                                       static_cast<int64_t>(layer->weight.bytes()));
                  });
}

// tensorFusionRun(exec, cancel, handle, rows, h, present?, out?) -> y
Napi::Value tensor_fusion_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto layer = open_handle<TensorFusion>(call.argument(2), kTensorFusionTag, "handle");
  const FusionInputs inputs = read_fusion_inputs(call, 3, layer->dims);
  const Span<float> y = call.out_f32(6, "out", static_cast<size_t>(inputs.rows * layer->weight.out()));
  fusion_check_out(layer->dims, inputs, y.data, y.size);
  return call.run([=](const Exec& exec) { tensor_fusion(*layer, inputs, y.data, exec); });
}

// outerProduct(exec, cancel, dims, rows, h, present?, out?) -> z
Napi::Value outer_product_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const FusionDims dims = fusion_dims(call.integers(2, "dims"), kMostTensorModes);
  const FusionInputs inputs = read_fusion_inputs(call, 3, dims);
  outer_product_check(dims, inputs.rows);
  const Span<float> z = call.out_f32(6, "out", static_cast<size_t>(inputs.rows * dims.product()));
  fusion_check_out(dims, inputs, z.data, z.size);
  return call.run([=](const Exec& exec) { outer_product(dims, inputs, z.data, exec); });
}

}  // namespace cinefuse
