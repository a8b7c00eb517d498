// The two kernels that multiply, and how their work is shared out.
#pragma once
#include "../../cuda/device.h"
#include "fusion_order.cuh"

namespace cinefuse::gpu {

constexpr int kFusionThreads = 256;  // of a block of either
constexpr int kFusionWarps = kFusionThreads / 32;

enum class FusionMath { k3xTf32, kTf32, kBf16 };

struct FusionPlan {
  int row_tiles_a_warp;  // of fusion_tile
  int64_t blocks;        // of one split
  size_t shared_bytes;
};

// Each plan fills in what is missing of the arguments, but for the sums: (splits, rows, columns).
FusionPlan fusion_tile_plan(FusionArgs& p, FusionMath math, const Device& device);
void fusion_tile_launch(Call& call, const FusionArgs& p, FusionMath math, const FusionPlan& plan);

// With bfloat16 weights the matrix units are faster from five rows on.
inline int most_thin_rows(bool half) { return half ? 4 : 8; }
FusionPlan fusion_thin_plan(FusionArgs& p, const Device& device);
void fusion_thin_launch(Call& call, const FusionArgs& p, bool half, const FusionPlan& plan);

// The number of splits that takes the least time, by rough microseconds of an H100. multiply_us: of one stage
// in one block, arithmetic alone.
int fusion_splits(const FusionArgs& p, int64_t blocks, int blocks_an_sm, double multiply_us,
                  const Device& device);

}  // namespace cinefuse::gpu
