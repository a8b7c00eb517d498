#include "../../node/boundary.h"
#include "linear.h"

namespace cinefuse {
namespace {

const HandleTag kLinearTag = {"Linear"};

// inFeatures, outFeatures, weight, bias?, activation, slope from argument `first` on
LinearParams read_layer(Call& call, size_t first) {
  LinearParams params{};
  params.in = call.integer(first, "inFeatures");
  params.out = call.integer(first + 1, "outFeatures");
  const Span<const float> weight = call.f32(first + 2, "weight");
  const Span<const float> bias = call.f32_optional(first + 3, "bias");
  params.activation = static_cast<Activation>(call.int32(first + 4, "activation"));
  params.slope = call.float32(first + 5, "slope");
  params.weight = weight.data;
  params.bias = bias.data;
  linear_check(params, weight.size, call.absent(first + 3) ? -1 : static_cast<int64_t>(bias.size));
  return params;
}

}  // namespace

// linear(exec, cancel, inFeatures, outFeatures, weight, bias?, activation, slope, rows, x, out?) -> y
Napi::Value linear_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const LinearParams params = read_layer(call, 2);
  const int64_t rows = call.integer(8, "rows");
  const Span<const float> x = call.f32(9, "x");
  linear_check_rows(params.in, rows, x.size);
  const Span<float> y = call.out_f32(10, "out", static_cast<size_t>(rows * params.out));
  require_apart(x.data, x.size, y.data, y.size);
  return call.run(
      [=](const Exec& exec) { linear(linear_prepare(params, exec), rows, x.data, y.data, exec); });
}

// linearPrepare(exec, cancel, inFeatures, outFeatures, weight, bias?, activation, slope, weightType) ->
// handle
Napi::Value linear_prepare_node(const Napi::CallbackInfo& info) {
  Call call(info);
  LinearParams params = read_layer(call, 2);
  params.weight_type = static_cast<WeightType>(call.int32(8, "weightType"));
  weight_type_check(params.weight_type);
  const auto layer = std::make_shared<Linear>();
  return call.run([=](const Exec& exec) { *layer = linear_prepare(params, exec); },
                  [=](Napi::Env env) {
                    return make_handle(env, kLinearTag, layer, static_cast<int64_t>(layer->weight.bytes()));
                  });
}

// linearRun(exec, cancel, handle, rows, x, out?) -> y
Napi::Value linear_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto layer = open_handle<Linear>(call.argument(2), kLinearTag, "handle");
  const int64_t rows = call.integer(3, "rows");
  const Span<const float> x = call.f32(4, "x");
  linear_check_rows(layer->in(), rows, x.size);
  const Span<float> y = call.out_f32(5, "out", static_cast<size_t>(rows * layer->out()));
  require_apart(x.data, x.size, y.data, y.size);
  return call.run([=](const Exec& exec) { linear(*layer, rows, x.data, y.data, exec); });
}

}  // namespace cinefuse
