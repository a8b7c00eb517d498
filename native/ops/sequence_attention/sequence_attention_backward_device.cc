#include "sequence_attention_backward_device.h"

#include "../../core/device.h"
#include "sequence_attention_backward.h"

namespace cinefuse {

void temporal_gradients_device(const TemporalParams& p, const TemporalGradients& g, const Exec& exec) {
  run_on_device(exec, CINEFUSE_TEMPORAL_ATTENTION_BACKWARD,
                cinefuse_temporal_backward_params{p.batch, p.steps, p.d, p.dv, p.scale, 0, p.q, p.keys,
                                                  p.values, p.lengths, g.dc, g.dq, g.dkeys, g.dvalues});
}

void additive_gradients_device(const AdditiveWeights& w, const AdditiveParams& p, const AdditiveGradients& g,
                               const Exec& exec) {
  run_on_device(exec, CINEFUSE_ADDITIVE_ATTENTION_BACKWARD,
                cinefuse_additive_backward_params{w.d, w.k, p.batch, p.steps, w.W, w.b, w.w, p.x, p.lengths,
                                                  g.dc, g.dx, g.dW, g.db, g.dw});
}

void spatial_gradients_device(const SpatialParams& p, const SpatialGradients& g, const Exec& exec) {
  run_on_device(exec, CINEFUSE_SPATIAL_ATTENTION_BACKWARD,
                cinefuse_spatial_backward_params{p.batch, p.channels, p.positions, p.query_per_row, p.scale,
                                                 p.bias, 0, p.x, p.query, g.dc, g.dx, g.dquery, g.dbias});
}

void cross_gradients_device(const CrossWeights& weights, const CrossParams& p,
                            const CrossGradients& gradients, const Exec& exec) {
  CrossWeights w = weights;
  CrossGradients g = gradients;
  cinefuse_cross_backward_params all{};
  all.width = w.width;
  all.context_width = w.context_width;
  all.heads = w.heads;
  all.ff = w.ff;
  all.batch = p.batch;
  all.queries = p.queries;
  all.keys = p.keys;
  all.x = p.x;
  all.ctx = p.ctx;
  all.present = p.present;
  all.dy = g.dy;
  all.dx = g.dx;
  all.dctx = g.dctx;
  const std::vector<CrossArray> arrays = cross_arrays(w);
  const std::vector<float**> of_arrays = cross_gradient_arrays(g);
  for (size_t i = 0; i < arrays.size(); ++i) {
    all.weights[i] = *arrays[i].to;
    all.gradients[i] = *of_arrays[i];
  }
  run_on_device(exec, CINEFUSE_CROSS_ATTENTION_BACKWARD, all);
}

}  // namespace cinefuse
