#include "low_rank_fusion_backward_device.h"

#include "../../core/device.h"
#include "low_rank_fusion_backward.h"

namespace cinefuse {

void low_rank_training_device(const LowRankShape& s, const FusionInputs& in, const LowRankWeights& w,
                              float* y, const LowRankGradients* g, const Exec& exec) {
  cinefuse_low_rank_fusion_training p{};
  p.rows = in.rows;
  p.modes = s.dims.modes;
  p.rank = s.rank;
  p.out = s.out;
  p.present = in.present;
  p.rank_weights = w.rank_weights;
  p.bias = w.bias;
  p.y = y;
  for (size_t m = 0; m < static_cast<size_t>(s.dims.modes); ++m) {
    p.d[m] = s.dims.d[m];
    p.h[m] = in.h[m];
    p.factors[m] = w.factors[m];
    if (!g) continue;
    p.dh[m] = g->dh[m];
    p.dfactors[m] = g->dfactors[m];
  }
  if (g) {
    p.dy = g->dy;
    p.drank_weights = g->drank_weights;
    p.dbias = g->dbias;
  }
  run_on_device(exec, CINEFUSE_LOW_RANK_FUSION_TRAINING, p);
}

}  // namespace cinefuse
