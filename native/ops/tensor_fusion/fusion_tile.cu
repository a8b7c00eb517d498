#include <algorithm>

#include "fusion_tile.cuh"

namespace cinefuse::gpu {
namespace {

template <FusionMath MATH>
constexpr int kMostRowTiles = MATH == FusionMath::k3xTf32 ? 2 : 4;

template <FusionMath MATH, int ROW_TILES, bool FULL>
void launch(Call& call, const FusionArgs& p, const FusionPlan& plan) {
  const dim3 grid(static_cast<unsigned>(plan.blocks), static_cast<unsigned>(p.splits));
  CINEFUSE_LAUNCH(call.stream(), (tensor_fusion_tile_kernel<FusionTile<MATH, ROW_TILES, FULL>>), grid,
                  kFusionThreads, plan.shared_bytes, p);
}

// Of many rows and whole warps of columns the loop has no branches.
template <FusionMath MATH>
void launch(Call& call, const FusionArgs& p, const FusionPlan& plan) {
  constexpr int kMost = kMostRowTiles<MATH>;
  if (plan.row_tiles_a_warp == kMost && p.units_a_warp == kFusionUnits) {
    return launch<MATH, kMost, true>(call, p, plan);
  }
  if (plan.row_tiles_a_warp == kMost) return launch<MATH, kMost, false>(call, p, plan);
  if (plan.row_tiles_a_warp == 1) return launch<MATH, 1, false>(call, p, plan);
  if constexpr (kMost > 2) launch<MATH, 2, false>(call, p, plan);
}

}  // namespace

FusionPlan fusion_tile_plan(FusionArgs& p, FusionMath math, const Device& device) {
  FusionPlan plan{};
  const int most_tiles =
      math == FusionMath::k3xTf32 ? kMostRowTiles<FusionMath::k3xTf32> : kMostRowTiles<FusionMath::kTf32>;
  plan.row_tiles_a_warp = p.rows <= 16 ? 1 : p.rows <= 32 ? 2 : most_tiles;
  const auto bytes = [&](int down, int ring) {
    int floats = 0;
    for (const FusionSegment& g : p.order.segment) {
      floats = std::max(
          floats, fusion_s_floats(g, plan.row_tiles_a_warp) + fusion_f_floats(g, plan.row_tiles_a_warp));
    }
    return sizeof(float) * static_cast<size_t>(down * floats + ring * p.order.stage_steps * p.units * 128);
  };
  // The height of a block that wastes the fewest rows; a tall one reads the weights more seldom.
  double best = -1.;
  for (int down = 1; down <= std::min(4, kFusionWarps / p.warps_across); down *= 2) {
    if (down > 1 && bytes(down, 2) > device.shared_bytes()) break;
    const int height = down * plan.row_tiles_a_warp * 16;
    const double cost = static_cast<double>(blocks_of(p.rows, height) * height) * (down == 4   ? 1.
                                                                                   : down == 2 ? 1.05
                                                                                               : 1.15);
    if (best >= 0. && cost > best) continue;
    best = cost;
    p.warps_down = down;
  }
  p.ring = bytes(p.warps_down, 3) <= device.shared_bytes() ? 3 : 2;
  plan.shared_bytes = bytes(p.warps_down, p.ring);
  const int height = p.warps_down * plan.row_tiles_a_warp * 16;
  p.row_tiles = static_cast<int32_t>(blocks_of(p.rows, height));
  plan.blocks = int64_t{p.row_tiles} * (p.columns / (p.units * 16));
  const int parts = kFusionWarps / (p.warps_down * p.warps_across);
  const int products = p.order.stage_steps / parts * plan.row_tiles_a_warp * 2 * p.units_a_warp *
                       (math == FusionMath::k3xTf32 ? 3 : 1);  // of a warp, of two on its scheduler
  constexpr double kProductUs = 6. / 1700.;
  p.splits =
      fusion_splits(p, plan.blocks, plan.row_tiles_a_warp == 1 ? 2 : 1, 2 * products * kProductUs, device);
  return plan;
}

void fusion_tile_launch(Call& call, const FusionArgs& p, FusionMath math, const FusionPlan& plan) {
  switch (math) {
    case FusionMath::k3xTf32:
      return launch<FusionMath::k3xTf32>(call, p, plan);
    case FusionMath::kTf32:
      return launch<FusionMath::kTf32>(call, p, plan);
    case FusionMath::kBf16:
      return launch<FusionMath::kBf16>(call, p, plan);
  }
}

int fusion_splits(const FusionArgs& p, int64_t blocks, int blocks_an_sm, double multiply_us,
                  const Device& device) {
  constexpr double kStartUs = 3., kBytesAnSmUs = 36e3, kSumBytesUs = 2.5e6;
  constexpr int64_t kMost = 1024;
  const int64_t stages = p.order.all_stages(), slots = int64_t{blocks_an_sm} * device.multiprocessors();
  const double stage_bytes = p.order.stage_steps * p.units * 512.;
  const double stage_us = blocks_an_sm * std::max(multiply_us, stage_bytes / kBytesAnSmUs);
  int best = 1;
  double best_us = -1.;
  for (int64_t waves = 1; waves <= 8; ++waves) {
    // As many as fill so many waves: one more would begin another.
    const int64_t splits = std::clamp<int64_t>(waves * slots / blocks, 1, std::min(stages, kMost));
    const double us = static_cast<double>(blocks_of(blocks * splits, slots)) *
                          (kStartUs + static_cast<double>(blocks_of(stages, splits)) * stage_us) +
                      static_cast<double>(splits * p.slice) * 8. / kSumBytesUs;
    if (best_us >= 0. && us >= best_us) continue;
    best_us = us;
    best = static_cast<int>(splits);
  }
  return best;
}

}  // namespace cinefuse::gpu
