#include "optimizer.h"

#include <cmath>

namespace cinefuse {

void optimizer_step_cpu(const OptimizerParams& params, int64_t n, float* p, const float* g, float* m,
                        float* v, const Exec& exec);
void optimizer_step_device(const OptimizerParams& params, int64_t n, float* p, const float* g, float* m,
                           float* v, const Exec& exec);
double squared_norm_cpu(int64_t n, const float* g, const Exec& exec);
double squared_norm_device(int64_t n, const float* g, const Exec& exec);

namespace {

void check_number(const char* field, float value, float least, float below) {
  CINEFUSE_REQUIRE(value >= least && value < below, Code::kInputValue, field,
                   "Expected a number in [%g, %g) for %s, received %g", static_cast<double>(least),
                   static_cast<double>(below), field, static_cast<double>(value));
}

}  // namespace

void optimizer_check(const OptimizerParams& p) {
  const int kind = static_cast<int>(p.kind);
  CINEFUSE_REQUIRE(kind >= 0 && kind <= 2, Code::kInputValue, "kind",
                   "Expected an optimiser 0..2, received %d", kind);
  constexpr float kMost = 3.4e38f;
  check_number("learningRate", p.lr, 0.f, kMost);
  check_number("momentum", p.momentum, 0.f, kMost);
  check_number("beta1", p.beta1, 0.f, 1.f);
  check_number("beta2", p.beta2, 0.f, 1.f);
  check_number("epsilon", p.eps, 0.f, kMost);
  check_number("weightDecay", p.weight_decay, 0.f, kMost);
  check_number("l1", p.l1, 0.f, kMost);
  CINEFUSE_REQUIRE(std::isfinite(p.gradient_scale), Code::kInputValue, "gradientScale",
                   "Expected a finite gradientScale, received %g", static_cast<double>(p.gradient_scale));
  CINEFUSE_REQUIRE(p.step >= 1, Code::kInputValue, "step", "Expected a step of 1 or more, received %lld",
                   static_cast<long long>(p.step));
  CINEFUSE_REQUIRE(!p.nesterov || p.momentum > 0.f, Code::kInputValue, "nesterov",
                   "Expected a momentum above 0 with nesterov");
}

OptimizerStep optimizer_step_of(const OptimizerParams& p) {
  const bool adam = p.kind != OptimizerKind::kSgd, decoupled = p.kind == OptimizerKind::kAdamW;
  const double t = static_cast<double>(p.step), lr = static_cast<double>(p.lr);
  const double unbias1 = 1. - std::pow(static_cast<double>(p.beta1), t);
  const double unbias2 = 1. - std::pow(static_cast<double>(p.beta2), t);
  OptimizerStep s{};
  s.scale = p.gradient_scale;
  s.l2 = decoupled ? 0.f : p.weight_decay;
  s.l1 = p.l1;
  s.decay = decoupled ? static_cast<float>(1. - lr * static_cast<double>(p.weight_decay)) : 1.f;
  s.rate = adam ? static_cast<float>(lr / unbias1) : p.lr;
  s.momentum = p.momentum;
  s.beta1 = p.beta1;
  s.beta2 = p.beta2;
  s.root = static_cast<float>(1. / std::sqrt(unbias2));
  s.eps = p.eps;
  s.first = p.step == 1;
  s.nesterov = p.nesterov;
  return s;
}

void optimizer_step(const OptimizerParams& params, int64_t n, float* p, const float* g, float* m, float* v,
                    const Exec& exec) {
  if (exec.backend != Backend::kCpu) return optimizer_step_device(params, n, p, g, m, v, exec);
  optimizer_step_cpu(params, n, p, g, m, v, exec);
}

double squared_norm(int64_t n, const float* g, const Exec& exec) {
  return exec.backend == Backend::kCpu ? squared_norm_cpu(n, g, exec) : squared_norm_device(n, g, exec);
}

}  // namespace cinefuse
