#include "../../node/boundary.h"
#include "loss.h"

namespace cinefuse {

// loss(exec, cancel, kind, reduction, rows, cols, delta, smoothing, x, target, classWeights?, rowWeights?,
//      giveDx) -> [loss, dx (empty)]
Napi::Value loss_node(const Napi::CallbackInfo& info) {
  Call call(info);
  LossParams p{};
  p.kind = static_cast<LossKind>(call.int32(2, "kind"));
  p.reduction = static_cast<Reduction>(call.int32(3, "reduction"));
  p.rows = call.integer(4, "rows");
  p.cols = call.integer(5, "cols");
  p.delta = call.float32(6, "delta");
  p.smoothing = call.float32(7, "smoothing");
  const Span<const float> x = call.f32(8, "x"), target = call.f32(9, "target");
  const Span<const float> class_weights = call.f32_optional(10, "classWeights");
  const Span<const float> row_weights = call.f32_optional(11, "rowWeights");
  loss_check(p, x.size, target.size, call.absent(10) ? -1 : static_cast<int64_t>(class_weights.size),
             call.absent(11) ? -1 : static_cast<int64_t>(row_weights.size));
  p.x = x.data;
  p.target = target.data;
  p.class_weights = class_weights.data;
  p.row_weights = row_weights.data;
  const bool none = p.reduction == Reduction::kNone, give_dx = call.boolean(12, "gradient");
  p.loss = call.out_f32(13, "loss", none ? target.size : 1).data;
  float* const dx = call.out_f32(14, "dx", give_dx ? x.size : 0).data;
  p.dx = give_dx ? dx : nullptr;
  return call.run([p](const Exec& exec) { loss(p, exec); });
}

}  // namespace cinefuse
