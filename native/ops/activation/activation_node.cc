#include "../../node/boundary.h"
#include "activation.h"

namespace cinefuse {

// activation(exec, cancel, kind, slope, rows, cols, x, out?) -> y
Napi::Value activation_node(const Napi::CallbackInfo& info) {
  Call call(info);
  ActivationParams params{};
  params.kind = static_cast<Activation>(call.int32(2, "kind"));
  params.slope = call.float32(3, "slope");
  params.rows = call.integer(4, "rows");
  params.cols = call.integer(5, "cols");
  const Span<const float> x = call.f32(6, "x");
  activation_check(params, x.size);
  params.x = x.data;
  params.y = call.out_f32(7, "out", x.size).data;
  return call.run([params](const Exec& exec) { activation(params, exec); });
}

}  // namespace cinefuse
