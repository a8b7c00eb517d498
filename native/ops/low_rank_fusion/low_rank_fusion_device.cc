#include "low_rank_fusion_device.h"

#include "../../core/device.h"
#include "low_rank_fusion.h"

namespace cinefuse {

static_assert(CINEFUSE_LOW_RANK_FUSION_MODES == kMostFusionModes);

void low_rank_fusion_device(const LowRankFusion& layer, const FusionInputs& in, float* y, const Exec& exec) {
  const size_t modes = static_cast<size_t>(layer.dims.modes);
  const auto twin = layer.twins.get(exec, [&] {
    cinefuse_low_rank_fusion_description d{};
    d.rank = layer.rank;
    d.out = layer.out;
    d.modes = layer.dims.modes;
    d.activation = static_cast<int32_t>(layer.activation);
    d.slope = layer.slope;
    std::vector<std::vector<float>> factors(modes);
    for (size_t m = 0; m < modes; ++m) {
      const PackedMatrix& packed = layer.factors[m];
      factors[m].resize(static_cast<size_t>(packed.out() * packed.in()));
      packed.unpack(factors[m].data());
      d.dims[m] = layer.dims.d[m];
      d.factors[m] = factors[m].data();
      d.ones[m] = layer.ones[m].data();
    }
    d.rank_weights = layer.rank_weights.data();
    d.bias = layer.bias.data();
    return create_on_device(exec, CINEFUSE_LOW_RANK_FUSION, d);
  });
  cinefuse_low_rank_fusion_params params{};
  params.rows = in.rows;
  for (size_t m = 0; m < modes; ++m) params.h[m] = in.h[m];
  params.present = in.present;
  params.y = y;
  run_on_device(exec, CINEFUSE_LOW_RANK_FUSION, *twin, params);
}

}  // namespace cinefuse
