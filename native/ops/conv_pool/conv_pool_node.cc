#include "../../node/boundary.h"
#include "conv_pool_backward.h"

namespace cinefuse {
namespace {

const HandleTag kConvPoolTag = {"ConvPool"};

size_t elements(int64_t a, int64_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

// dim, sizes, weights, biases (empty: none), activation from argument 2 on
ConvPoolParams read_params(Call& call) {
  ConvPoolParams p{};
  p.dim = call.integer(2, "dim");
  const std::vector<int64_t> sizes = call.integers(3, "windows.size");
  const std::vector<Span<const float>> weights = call.f32_list(4, "windows.weight");
  const std::vector<Span<const float>> biases = call.f32_list(5, "windows.bias");
  p.activation = static_cast<Activation>(call.int32(6, "activation"));
  std::vector<size_t> weight_sizes, bias_sizes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    ConvWindow window{};
    window.size = sizes[i];
    if (i < weights.size()) window.weight = weights[i].data;
    if (i < biases.size() && biases[i].size > 0) window.bias = biases[i].data;
    p.windows.push_back(window);
  }
  for (const Span<const float>& weight : weights) weight_sizes.push_back(weight.size);
  for (const Span<const float>& bias : biases) bias_sizes.push_back(bias.size);
  conv_pool_check(p, weight_sizes, bias_sizes);
  return p;
}

// batch, steps, x, lengths? from argument `first` on
ConvPoolRows read_rows(Call& call, size_t first, int64_t dim) {
  ConvPoolRows rows{};
  rows.batch = call.integer(first, "batch");
  rows.steps = call.integer(first + 1, "steps");
  const Span<const float> x = call.f32(first + 2, "x");
  const Span<const int32_t> lengths = call.i32_optional(first + 3, "lengths");
  rows.x = x.data;
  rows.lengths = call.absent(first + 3) ? nullptr : lengths.data;
  conv_pool_check_rows(dim, rows, x.size, lengths.size);
  return rows;
}

}  // namespace

// convPoolPrepare(exec, cancel, dim, sizes, weights, biases, activation) -> handle
Napi::Value conv_pool_prepare_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const ConvPoolParams params = read_params(call);
  const auto layer = std::make_shared<ConvPool>();
  return call.run([=](const Exec& exec) { *layer = conv_pool_prepare(params, exec); },
                  [=](Napi::Env env) {
                    return make_handle(env, kConvPoolTag, layer, static_cast<int64_t>(layer->bytes()));
                  });
}

// convPoolRun(exec, cancel, handle, batch, steps, x, lengths?, out?) -> y
Napi::Value conv_pool_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto layer = open_handle<ConvPool>(call.argument(2), kConvPoolTag, "handle");
  const ConvPoolRows rows = read_rows(call, 3, layer->dim);
  const Span<float> y = call.out_f32(7, "out", elements(rows.batch, layer->filters));
  require_apart(rows.x, elements(rows.batch * rows.steps, layer->dim), y.data, y.size);
  return call.run([=](const Exec& exec) { conv_pool(*layer, rows, y.data, exec); });
}

// convPoolForward(exec, cancel, dim, sizes, weights, biases, activation, batch, steps, x, lengths?)
//   -> [y, argmax]
Napi::Value conv_pool_forward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const ConvPoolParams params = read_params(call);
  const ConvPoolRows rows = read_rows(call, 7, params.dim);
  const size_t size = elements(rows.batch, params.filters());
  float* const y = call.out_f32(SIZE_MAX, "y", size).data;
  int32_t* const argmax = call.out_i32(SIZE_MAX, "argmax", size).data;
  return call.run([=](const Exec& exec) { conv_pool_forward(params, rows, y, argmax, exec); });
}

// convPoolBackward(exec, cancel, dim, sizes, weights, biases, activation, batch, steps, x, lengths?, y,
// argmax, dy, inputGradient) -> [dx (empty unless asked for), dweight..., dbias...]
Napi::Value conv_pool_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const ConvPoolParams params = read_params(call);
  const ConvPoolRows rows = read_rows(call, 7, params.dim);
  const Span<const float> y = call.f32(11, "y");
  const Span<const int32_t> argmax = call.i32(12, "argmax");
  const Span<const float> dy = call.f32(13, "dy");
  const bool input_gradient = call.boolean(14, "inputGradient");
  ConvPoolBackward back{};
  back.y = y.data;
  back.argmax = argmax.data;
  back.dy = dy.data;
  conv_pool_check_backward(params, rows, back, y.size, argmax.size, dy.size);
  float* const dx =
      call.out_f32(SIZE_MAX, "dx", input_gradient ? elements(rows.batch * rows.steps, params.dim) : 0).data;
  if (input_gradient) back.dx = dx;
  for (const ConvWindow& window : params.windows) {
    back.dweight.push_back(
        call.out_f32(SIZE_MAX, "dweight", elements(window.filters, window.size * params.dim)).data);
  }
  for (const ConvWindow& window : params.windows) {
    back.dbias.push_back(call.out_f32(SIZE_MAX, "dbias", static_cast<size_t>(window.filters)).data);
  }
  return call.run([=](const Exec& exec) { conv_pool_backward(params, rows, back, exec); });
}

}  // namespace cinefuse
