#include "../../node/boundary.h"
#include "layer_norm_backward.h"

namespace cinefuse {

// layerNormBackward(exec, cancel, rows, cols, eps, x, gain?, dy) -> [dx, dgain, dbias]
Napi::Value layer_norm_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  LayerNormGradients g{};
  g.rows = call.integer(2, "rows");
  g.cols = call.integer(3, "cols");
  g.eps = call.float32(4, "eps");
  const Span<const float> x = call.f32(5, "x"), gain = call.f32_optional(6, "gain"), dy = call.f32(7, "dy");
  layer_norm_backward_check(g, x.size, call.absent(6) ? -1 : static_cast<int64_t>(gain.size), dy.size);
  g.x = x.data;
  g.gain = gain.data;
  g.dy = dy.data;
  g.dx = call.out_f32(8, "dx", x.size).data;
  g.dgain = call.out_f32(9, "dgain", static_cast<size_t>(g.cols)).data;
  g.dbias = call.out_f32(10, "dbias", static_cast<size_t>(g.cols)).data;
  return call.run([g](const Exec& exec) { layer_norm_backward(g, exec); });
}

}  // namespace cinefuse
