#include "sequence_attention_backward.h"

namespace cinefuse {

void temporal_gradients_device(const TemporalParams& params, const TemporalGradients& gradients,
                               const Exec& exec);
void additive_gradients_device(const AdditiveWeights& weights, const AdditiveParams& params,
                               const AdditiveGradients& gradients, const Exec& exec);
void spatial_gradients_device(const SpatialParams& params, const SpatialGradients& gradients,
                              const Exec& exec);
void cross_gradients_device(const CrossWeights& weights, const CrossParams& params,
                            const CrossGradients& gradients, const Exec& exec);
namespace {

// Memory for several results of a forward pass that nobody wants to keep.
class Kept {
 public:
  explicit Kept(int64_t floats) : memory_(static_cast<size_t>(floats)) {}
  float* take(int64_t floats) {
    float* const at = memory_.data() + used_;
    used_ += floats;
    return at;
  }

 private:
  std::vector<float> memory_;
  int64_t used_ = 0;
};

}  // namespace

std::vector<float**> cross_gradient_arrays(CrossGradients& g) {
  return {&g.Wq,    &g.bq,     &g.Wk, &g.bk, &g.Wv, &g.bv, &g.Wo,    &g.bo,
          &g.gain1, &g.shift1, &g.W1, &g.b1, &g.W2, &g.b2, &g.gain2, &g.shift2};
}

void temporal_gradients(const TemporalParams& params, const TemporalGradients& gradients, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return temporal_gradients_device(params, gradients, exec);
  TemporalParams p = params;
  Kept kept(p.batch * (p.dv + p.steps));
  p.c = kept.take(p.batch * p.dv);
  p.alpha = kept.take(p.batch * p.steps);
  temporal(p, exec);
  exec.check_cancelled();
  temporal_backward(p, gradients, exec);
}

void additive_gradients(const AdditiveWeights& weights, const AdditiveParams& params,
                        const AdditiveGradients& gradients, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return additive_gradients_device(weights, params, gradients, exec);
  AdditiveParams p = params;
  const int64_t saved = static_cast<int64_t>(additive_saved(weights, p.batch, p.steps));
  Kept kept(p.batch * weights.d + saved);
  p.c = kept.take(p.batch * weights.d);
  p.alpha = nullptr;
  float* const memory = kept.take(saved);
  additive_forward(weights, p, memory, exec);
  exec.check_cancelled();
  additive_backward(weights, p, memory, gradients, exec);
}

void spatial_gradients(const SpatialParams& params, const SpatialGradients& gradients, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return spatial_gradients_device(params, gradients, exec);
  SpatialParams p = params;
  Kept kept(p.batch * (p.channels + p.positions));
  p.c = kept.take(p.batch * p.channels);
  p.alpha = kept.take(p.batch * p.positions);
  spatial(p, exec);
  exec.check_cancelled();
  spatial_backward(p, gradients, exec);
}

void cross_gradients(const CrossWeights& weights, const CrossParams& params, const CrossGradients& gradients,
                     const Exec& exec) {
  if (exec.backend != Backend::kCpu) return cross_gradients_device(weights, params, gradients, exec);
  CrossParams p = params;
  const int64_t saved = static_cast<int64_t>(cross_saved(weights, p));
  Kept kept(p.batch * p.queries * weights.width + saved);
  p.y = kept.take(p.batch * p.queries * weights.width);
  p.alpha = nullptr;
  float* const memory = kept.take(saved);
  cross_forward(weights, p, memory, exec);
  exec.check_cancelled();
  cross_backward(weights, p, memory, gradients, exec);
}

}  // namespace cinefuse
