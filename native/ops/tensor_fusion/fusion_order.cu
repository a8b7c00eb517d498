#include <algorithm>

#include "../../cuda/device.h"
#include "fusion_order.cuh"

namespace cinefuse::gpu {
namespace {

constexpr int kMostS = 40;       // values of s in a window
constexpr int kMostValues = 80;  // of s and f together, unless f would have fewer than
constexpr int kLeastMostF = 32;

// The segment in which mode f is innermost, s next; a mode of `left` that is neither is an r.
FusionSegment make_segment(const std::vector<int>& left, const int64_t* d, int f, int s, bool f_has_one) {
  FusionSegment g{};
  for (int i = 0; i < kFusionRoles; ++i) {
    g.mode[i] = -1;
    g.count[i] = 1;
  }
  const auto give = [&](int role, int mode, bool has_one) {
    if (mode < 0) return;
    g.mode[role] = mode;
    g.count[role] = static_cast<int32_t>(d[mode]) + (has_one ? 1 : 0);
  };
  give(0, f, f_has_one);
  give(1, s, true);
  int role = 2;
  for (int mode : left) {
    if (mode != f && mode != s) give(role++, mode, true);
  }
  g.s_tiles = fusion_ceil(g.count[1], kMostS);
  g.s_tile = fusion_ceil(g.count[1], g.s_tiles);
  const int most_f = std::max(kLeastMostF, (kMostValues - g.s_tile) / 16 * 16);
  g.f_tiles = fusion_ceil(g.count[0], most_f);
  g.f_tile = fusion_ceil(fusion_ceil(g.count[0], g.f_tiles), 16) * 16;
  g.f_tiles = fusion_ceil(g.count[0], g.f_tile);
  return g;
}

// Steps, and about as many as a new window (its values are loaded) and a new index of r cost. Of depth 8, so
// that both precisions have one order.
double cost_of(const FusionSegment& g) {
  constexpr double kWindow = 12., kNewR = 1.;
  const double r = static_cast<double>(g.count[2]) * g.count[3], windows = double(g.f_tiles) * g.s_tiles;
  return r * fusion_ceil(g.count[0], 8) * g.count[1] + windows * (kWindow + r * kNewR);
}

FusionSegment best_segment(const std::vector<int>& left, const int64_t* d, bool f_has_one) {
  FusionSegment best{};
  double best_cost = -1.;
  // From the last mode on, which is the innermost of the raw weights.
  for (size_t i = left.size(); i-- > 0;) {
    for (size_t j = left.size(); j-- > 0;) {
      if (i == j && left.size() > 1) continue;
      const FusionSegment g = make_segment(left, d, left[i], i == j ? -1 : left[j], f_has_one);
      if (best_cost >= 0. && cost_of(g) >= best_cost) continue;
      best_cost = cost_of(g);
      best = g;
    }
  }
  return best;
}

}  // namespace

FusionOrder fusion_order(int modes, const int64_t* d, int depth, int stage_steps) {
  FusionOrder o{};
  o.depth = depth;
  o.stage_steps = stage_steps;
  std::vector<int> left;
  for (int m = 0; m < modes; ++m) left.push_back(m);
  o.segment[0] = best_segment(left, d, false);
  left.erase(std::find(left.begin(), left.end(), o.segment[0].mode[0]));
  o.segment[1] = best_segment(left, d, true);
  for (int i = 0; i < 2; ++i) {
    const FusionSegment& g = o.segment[i];
    o.stages[i] = (g.f_tiles - 1) * fusion_row_stages(o, i, g.f_tile) +
                  fusion_row_stages(o, i, g.count[0] - (g.f_tiles - 1) * g.f_tile);
  }
  return o;
}

}  // namespace cinefuse::gpu
