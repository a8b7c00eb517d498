#include "../../node/boundary.h"
#include "linear_backward.h"

namespace cinefuse {

// linearBackward(exec, cancel, rows, inFeatures, outFeatures, x, weight, dy, giveDx) -> [dx (empty), dW, db]
Napi::Value linear_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const LinearShape shape{call.integer(2, "rows"), call.integer(3, "inFeatures"),
                          call.integer(4, "outFeatures")};
  const Span<const float> x = call.f32(5, "x"), W = call.f32(6, "weight"), dy = call.f32(7, "dy");
  linear_backward_check(shape, x.size, W.size, dy.size);
  const bool give_dx = call.boolean(8, "inputGradient");
  LinearGradients g{x.data, W.data, dy.data, nullptr, nullptr, nullptr};
  float* const dx = call.out_f32(9, "dx", give_dx ? x.size : 0).data;
  g.dx = give_dx ? dx : nullptr;
  g.dW = call.out_f32(10, "dW", W.size).data;
  g.db = call.out_f32(11, "db", static_cast<size_t>(shape.out)).data;
  return call.run([=](const Exec& exec) { linear_backward(shape, g, exec); });
}

}  // namespace cinefuse
