// Optimisers: one fused pass over a parameter p, its gradient g and its moments.
//
//   g <- g * gradient_scale (clipping), then + l2 * p + l1 * sign(p)
//   sgd    v <- μ v + g (first step: v = g);  p -= lr (nesterov ? g + μ v : v); without momentum p -= lr g
//   adam   m <- β1 m + (1-β1) g, v <- β2 v + (1-β2) g²
//          p -= lr (m / (1-β1^t)) / (sqrt(v / (1-β2^t)) + eps)
//   adamw  p *= 1 - lr * weight_decay first, then adam
//
// For sgd and adam weight_decay is the l2 above. Elementwise, so the same bits on any number of threads.
// Source: torch.optim; Kingma and Ba 2015; Loshchilov and Hutter 2019.
#pragma once
#include <cstdint>

#include "../../core/exec.h"
#include "optimizer_step.h"

namespace cinefuse {

enum class OptimizerKind : int { kSgd = 0, kAdam, kAdamW };

struct OptimizerParams {
  OptimizerKind kind;
  bool nesterov;
  float lr, momentum, beta1, beta2, eps, weight_decay, l1;
  int64_t step;          // 1 for the first
  float gradient_scale;  // 1 without clipping
};
// m: velocity of sgd (may be null without momentum) or first moment; v: second moment (null for sgd).
void optimizer_check(const OptimizerParams& params);
// For the twins.
OptimizerStep optimizer_step_of(const OptimizerParams& params);
void optimizer_step(const OptimizerParams& params, int64_t n, float* p, const float* g, float* m, float* v,
                    const Exec& exec);
// Σ g², in float64 and a fixed order whatever the threads. Clipping: scale = min(1, c / (‖g‖ + 1e-6)) over
// all parameters' gradients.
double squared_norm(int64_t n, const float* g, const Exec& exec);

}  // namespace cinefuse
