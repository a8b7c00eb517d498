#include "../../node/boundary.h"
#include "optical_flow.h"

namespace cinefuse {

// opticalFlow(exec, cancel, n, height, width, levels, iterations, window, regularization, bytes?, floats?,
// out?)
// -> flow
Napi::Value optical_flow_node(const Napi::CallbackInfo& info) {
  Call call(info);
  OpticalFlowParams params{};
  params.n = call.integer(2, "n");
  params.height = call.integer(3, "height");
  params.width = call.integer(4, "width");
  params.levels = call.int32(5, "levels");
  params.iterations = call.int32(6, "iterations");
  params.window = call.float32(7, "window");
  params.regularization = call.float32(8, "regularization");
  const Span<const uint8_t> bytes = call.absent(9) ? Span<const uint8_t>{} : call.u8(9, "frames");
  const Span<const float> floats = call.absent(9) ? call.f32(10, "frames") : Span<const float>{};
  optical_flow_check(params, bytes.data ? bytes.size : floats.size);
  params.bytes = bytes.data;
  params.floats = floats.data;
  params.flow =
      call.out_f32(11, "out", static_cast<size_t>(2 * (params.n - 1) * params.height * params.width)).data;
  return call.run([params](const Exec& exec) { optical_flow(params, exec); });
}

}  // namespace cinefuse
