// The order in which the kernels of tensor fusion walk the outer product, and so that of its packed weights.
//
// A step is what one matrix instruction takes of K: 8 products (float32 weights) or 16 (bfloat16). Its
// products share all indices but that of one mode, f, so that a step needs one factor and 8 values of h_f; a
// second mode, s, counts the steps, one value of h_s each; the indices of the other modes, r, change last.
//
//   A[row][8 products] = (h_r[row] · h_f[row][8 values]) · h_s[row]     the bracket once a run of steps
//
// Were the 1 of f among its values, every run of 32 would be padded to 40. So there are two segments: f
// without its 1, and then all products in which f counts 1, a fusion of one mode fewer whose own f has its 1
// inside (its padding is that of 1 / (d_f + 1) of the weights). (128, 32, 32): 0.2 % of the steps are
// padding.
//
// A window is the part of a segment whose values of f and s fit in shared memory; windows are padded to whole
// stages, the pieces in which weights come to shared memory. Inside: r slowest, then f's chunks, then s.
#pragma once
#include "../../cuda/portable.h"

namespace cinefuse::gpu {

constexpr int kMostFusionUnits = 8;  // of 16 outputs, in a column tile
constexpr int kFusionModes = 4;
constexpr int kFusionRoles = 4;  // f, s, and two r

struct FusionSegment {
  int32_t mode[kFusionRoles];   // -1: none
  int32_t count[kFusionRoles];  // their values with the 1, but for f of the first segment; 1 without a mode
  int32_t f_tile, s_tile;       // of a window at most; f_tile is a multiple of 16
  int32_t f_tiles, s_tiles;
};

struct FusionOrder {
  FusionSegment segment[2];
  int32_t depth;        // products of a step: 8 or 16
  int32_t stage_steps;  // steps of a stage
  int32_t stages[2];    // of the segments
  __host__ __device__ int all_stages() const { return stages[0] + stages[1]; }
};

struct FusionWindow {
  int32_t segment, f0, f_count, chunks, s0, s_count;
  int32_t first_stage, stages, steps;
};

__host__ __device__ inline int fusion_ceil(int n, int d) { return (n + d - 1) / d; }

__host__ __device__ inline int fusion_window_stages(const FusionOrder& o, int segment, int f_count,
                                                    int s_count) {
  const FusionSegment& g = o.segment[segment];
  return fusion_ceil(g.count[2] * g.count[3] * fusion_ceil(f_count, o.depth) * s_count, o.stage_steps);
}
// Stages of all windows that share f_count values of f.
__host__ __device__ inline int fusion_row_stages(const FusionOrder& o, int segment, int f_count) {
  const FusionSegment& g = o.segment[segment];
  const int last = g.count[1] - (g.s_tiles - 1) * g.s_tile;
  return (g.s_tiles - 1) * fusion_window_stages(o, segment, f_count, g.s_tile) +
         fusion_window_stages(o, segment, f_count, last);
}

// The window that a stage lies in.
__host__ __device__ inline FusionWindow fusion_window(const FusionOrder& o, int stage) {
  FusionWindow w;
  w.segment = stage < o.stages[0] ? 0 : 1;
  const FusionSegment& g = o.segment[w.segment];
  int before = w.segment ? o.stages[0] : 0;
  const int row = fusion_row_stages(o, w.segment, g.f_tile);
  int tile = (stage - before) / row;
  if (tile >= g.f_tiles) tile = g.f_tiles - 1;
  before += tile * row;
  w.f0 = tile * g.f_tile;
  w.f_count = g.count[0] - w.f0 < g.f_tile ? g.count[0] - w.f0 : g.f_tile;
  w.chunks = fusion_ceil(w.f_count, o.depth);
  const int each = fusion_window_stages(o, w.segment, w.f_count, g.s_tile);
  tile = (stage - before) / each;
  if (tile >= g.s_tiles) tile = g.s_tiles - 1;
  w.first_stage = before + tile * each;
  w.s0 = tile * g.s_tile;
  w.s_count = g.count[1] - w.s0 < g.s_tile ? g.count[1] - w.s0 : g.s_tile;
  w.stages = fusion_window_stages(o, w.segment, w.f_count, w.s_count);
  w.steps = g.count[2] * g.count[3] * w.chunks * w.s_count;
  return w;
}

// Host: the order for the given sizes (without the 1) that makes the fewest steps.
FusionOrder fusion_order(int modes, const int64_t* d, int depth, int stage_steps);

// One mode as a kernel reads it.
struct FusionRole {
  const float* h;          // (rows, d), rows ld apart; null: no mode, every value is 1
  const uint8_t* present;  // of row r: present[r * present_stride]; null: always there
  int64_t ld;
  int32_t d, present_stride;
};

// h'[row][i]: the 1 at i = d, zeros where the mode is absent. The number is loaded beside the presence byte,
// not after it; of an absent mode it takes no part.
__device__ __forceinline__ float fusion_value(const FusionRole& role, int64_t row, int i) {
  if (!role.h || i == role.d) return 1.f;
  const float v = role.h[row * role.ld + i];
  return !role.present || role.present[row * role.present_stride] != 0 ? v : 0.f;
}

// What the kernels of a tensor fusion are told.
struct FusionArgs {
  FusionOrder order;
  FusionRole role[2][kFusionRoles];  // of the two segments
  const uint32_t* w;                 // float32 or bfloat16, as fusion_pack.cu lays them out
  const uint32_t* w_plain;           // float32, where `order` is of depth 8
  float* sums;                       // (splits, rows, columns)
  int64_t slice;                     // rows * columns
  int32_t rows, columns;             // columns: of all column tiles
  int32_t units;                     // of 16 columns, in a column tile: 1 to 8
  int32_t row_tiles, splits;
  int32_t warps_down, warps_across;  // of a block's eight; the others share the steps
  int32_t units_a_warp;              // units / warps_across
  int32_t ring;                      // stages of weights in shared memory
};

}  // namespace cinefuse::gpu
