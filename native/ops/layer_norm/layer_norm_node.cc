#include "../../node/boundary.h"
#include "layer_norm.h"

namespace cinefuse {

// layerNorm(exec, cancel, rows, cols, eps, x, gain?, bias?, out?) -> y
Napi::Value layer_norm_node(const Napi::CallbackInfo& info) {
  Call call(info);
  LayerNormParams params{};
  params.rows = call.integer(2, "rows");
  params.cols = call.integer(3, "cols");
  params.eps = call.float32(4, "eps");
  const Span<const float> x = call.f32(5, "x");
  const Span<const float> gain = call.f32_optional(6, "gain");
  const Span<const float> bias = call.f32_optional(7, "bias");
  layer_norm_check(params, x.size, call.absent(6) ? -1 : static_cast<int64_t>(gain.size),
                   call.absent(7) ? -1 : static_cast<int64_t>(bias.size));
  params.x = x.data;
  params.gain = gain.data;
  params.bias = bias.data;
  params.y = call.out_f32(8, "out", x.size).data;
  return call.run([params](const Exec& exec) { layer_norm(params, exec); });
}

}  // namespace cinefuse
