#include <vector>

#include "../../node/boundary.h"
#include "activation_backward.h"

namespace cinefuse {

// activationBackward(exec, cancel, kind, slope, rows, cols, x, y?, dy, out?) -> dx
Napi::Value activation_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  ActivationGradients g{};
  g.kind = static_cast<Activation>(call.int32(2, "kind"));
  g.slope = call.float32(3, "slope");
  g.rows = call.integer(4, "rows");
  g.cols = call.integer(5, "cols");
  const Span<const float> x = call.f32(6, "x"), y = call.f32_optional(7, "y"), dy = call.f32(8, "dy");
  activation_backward_check(g, x.size, call.absent(7) ? -1 : static_cast<int64_t>(y.size), dy.size);
  const bool forward = call.absent(7);
  g.x = x.data;
  g.y = y.data;
  g.dy = dy.data;
  g.dx = call.out_f32(9, "out", x.size).data;
  return call.run([=](const Exec& exec) {
    ActivationGradients all = g;
    std::vector<float> computed;
    if (forward) {
      computed.resize(static_cast<size_t>(g.rows * g.cols));
      activation({g.kind, g.slope, g.rows, g.cols, g.x, computed.data()}, exec);
      all.y = computed.data();
    }
    activation_backward(all, exec);
  });
}

}  // namespace cinefuse
