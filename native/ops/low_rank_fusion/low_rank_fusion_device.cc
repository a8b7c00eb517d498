#include "low_rank_fusion_device.h"

#include "../../core/device.h"
#include "low_rank_fusion.h"

namespace cinefuse {

static_assert(CINEFUSE_LOW_RANK_FUSION_MODES == kMostFusionModes);

void low_rank_fusion_describe(const LowRankFusion& layer, std::deque<std::vector<float>>& matrices,
                              cinefuse_low_rank_fusion_description& d) {
  d = {};
  d.rank = layer.rank;
  d.out = layer.out;
  d.modes = layer.dims.modes;
  d.activation = static_cast<int32_t>(layer.activation);
  d.slope = layer.slope;
  for (size_t m = 0; m < layer.factors.size(); ++m) {
    const PackedMatrix& packed = layer.factors[m];
    matrices.emplace_back(static_cast<size_t>(packed.out() * packed.in()));
    packed.unpack(matrices.back().data());
    d.dims[m] = layer.dims.d[m];
    d.factors[m] = matrices.back().data();
    d.ones[m] = layer.ones[m].data();
  }
  d.rank_weights = layer.rank_weights.data();
  d.bias = layer.bias.data();
}

void low_rank_fusion_device(const LowRankFusion& layer, const FusionInputs& in, float* y, const Exec& exec) {
  const auto twin = layer.twins.get(exec, [&] {
    std::deque<std::vector<float>> matrices;
    cinefuse_low_rank_fusion_description description;
    low_rank_fusion_describe(layer, matrices, description);
    return create_on_device(exec, CINEFUSE_LOW_RANK_FUSION, description);
  });
  cinefuse_low_rank_fusion_params params{};
  params.rows = in.rows;
  for (size_t m = 0; m < layer.factors.size(); ++m) params.h[m] = in.h[m];
  params.present = in.present;
  params.y = y;
  run_on_device(exec, CINEFUSE_LOW_RANK_FUSION, *twin, params);
}

}  // namespace cinefuse
