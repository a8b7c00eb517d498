#include "../../core/gemm/gemm.h"
#include "../../node/boundary.h"
#include "optimizer.h"

namespace cinefuse {

// optimizerStep(exec, cancel, kind, nesterov, lr, momentum, beta1, beta2, eps, weightDecay, l1, step,
// gradientScale,
//               g, p, m?, v?) -> p, all three changed in place
Napi::Value optimizer_step_node(const Napi::CallbackInfo& info) {
  Call call(info);
  OptimizerParams params{};
  params.kind = static_cast<OptimizerKind>(call.int32(2, "kind"));
  params.nesterov = call.boolean(3, "nesterov");
  params.lr = call.float32(4, "learningRate");
  params.momentum = call.float32(5, "momentum");
  params.beta1 = call.float32(6, "beta1");
  params.beta2 = call.float32(7, "beta2");
  params.eps = call.float32(8, "epsilon");
  params.weight_decay = call.float32(9, "weightDecay");
  params.l1 = call.float32(10, "l1");
  params.step = call.integer(11, "step");
  params.gradient_scale = call.float32(12, "gradientScale");
  optimizer_check(params);
  const Span<const float> g = call.f32(13, "g");
  const auto in_place = [&](size_t index, const char* name, bool wanted) -> float* {
    if (!wanted) return nullptr;
    CINEFUSE_REQUIRE(!call.absent(index), Code::kInputType, name,
                     "Expected a Float32Array for %s, received none", name);
    return call.out_f32(index, name, g.size).data;
  };
  const bool sgd = params.kind == OptimizerKind::kSgd;
  float* const p = in_place(14, "p", true);
  float* const m = in_place(15, "m", !sgd || params.momentum > 0.f);
  float* const v = in_place(16, "v", !sgd);
  require_apart(g.data, g.size, p, g.size, "p");
  for (const float* other : {g.data, static_cast<const float*>(p)}) {
    if (m) require_apart(other, g.size, m, g.size, "m");
    if (v) require_apart(other, g.size, v, g.size, "v");
  }
  if (m && v) require_apart(m, g.size, v, g.size, "v");
  const int64_t n = static_cast<int64_t>(g.size);
  return call.run([=](const Exec& exec) { optimizer_step(params, n, p, g.data, m, v, exec); });
}

// squaredNorm(exec, cancel, g) -> Σ g², Float64Array(1)
Napi::Value squared_norm_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const Span<const float> g = call.f32(2, "g");
  double* const sum = call.out_f64(3, "sum", 1).data;
  return call.run([=](const Exec& exec) { *sum = squared_norm(static_cast<int64_t>(g.size), g.data, exec); });
}

}  // namespace cinefuse
