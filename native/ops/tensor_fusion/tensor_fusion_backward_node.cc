#include "../../node/boundary.h"
#include "fusion_inputs_node.h"
#include "tensor_fusion_backward.h"

namespace cinefuse {
namespace {

struct Layer {
  TensorFusionParams params{};
  FusionInputs inputs{};
};

// dims, outFeatures, rows, h, present?, weight, bias? from argument 2 on
Layer read_layer(Call& call) {
  Layer layer;
  layer.params.dims = fusion_dims(call.integers(2, "dims"), kMostTensorModes);
  layer.params.out = call.integer(3, "outFeatures");
  const Span<const float> weight = call.f32(7, "weight");
  const Span<const float> bias = call.f32_optional(8, "bias");
  layer.params.weight = weight.data;
  layer.params.bias = bias.data;
  tensor_fusion_check(layer.params, weight.size, call.absent(8) ? -1 : static_cast<int64_t>(bias.size));
  layer.inputs = read_fusion_inputs(call, 4, layer.params.dims);
  return layer;
}

// dh[m]: (rows, d_m), new arrays
std::array<float*, kMostFusionModes> input_gradients(Call& call, const FusionDims& dims, int64_t rows) {
  std::array<float*, kMostFusionModes> dh{};
  for (size_t m = 0; m < static_cast<size_t>(dims.modes); ++m) {
    dh[m] = call.out_f32(SIZE_MAX, "dh", static_cast<size_t>(rows * dims.d[m])).data;
  }
  return dh;
}

}  // namespace

// tensorFusionForward(exec, cancel, dims, outFeatures, rows, h, present?, weight, bias?) -> y
Napi::Value tensor_fusion_forward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const Layer layer = read_layer(call);
  const TensorFusionParams& p = layer.params;
  float* y = call.out_f32(SIZE_MAX, "y", static_cast<size_t>(layer.inputs.rows * p.out)).data;
  return call.run([=](const Exec& exec) {
    tensor_fusion_forward(layer.params.dims, layer.params.out, layer.inputs, layer.params.weight,
                          layer.params.bias, y, exec);
  });
}

// tensorFusionBackward(exec, cancel, dims, outFeatures, rows, h, present?, weight, undefined, dy)
//   -> [dh_1, dh_2, ..., dW, db]
Napi::Value tensor_fusion_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const Layer layer = read_layer(call);
  const TensorFusionParams& p = layer.params;
  const Span<const float> dy = call.f32(9, "dy");
  fusion_check_gradient(layer.inputs.rows, p.out, dy.size, "dy");
  TensorFusionGradients gradients{};
  gradients.W = p.weight;
  gradients.dy = dy.data;
  gradients.dh = input_gradients(call, p.dims, layer.inputs.rows);
  gradients.dW = call.out_f32(SIZE_MAX, "dW", static_cast<size_t>(p.out * p.dims.product())).data;
  gradients.db = call.out_f32(SIZE_MAX, "db", static_cast<size_t>(p.out)).data;
  return call.run([=](const Exec& exec) {
    tensor_fusion_backward(layer.params.dims, layer.params.out, layer.inputs, gradients, exec);
  });
}

// outerProductBackward(exec, cancel, dims, rows, h, present?, dz) -> [dh_1, dh_2, ...]
Napi::Value outer_product_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const FusionDims dims = fusion_dims(call.integers(2, "dims"), kMostTensorModes);
  const FusionInputs inputs = read_fusion_inputs(call, 3, dims);
  outer_product_check(dims, inputs.rows);
  const Span<const float> dz = call.f32(6, "dz");
  fusion_check_gradient(inputs.rows, dims.product(), dz.size, "dz");
  const auto dh = input_gradients(call, dims, inputs.rows);
  return call.run([=](const Exec& exec) { outer_product_backward(dims, inputs, dz.data, dh, exec); });
}

}  // namespace cinefuse
