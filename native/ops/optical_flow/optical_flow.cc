#include "optical_flow.h"

#include <algorithm>
#include <cmath>

namespace cinefuse {

void optical_flow_cpu(const OpticalFlowParams& params, const Exec& exec);
void optical_flow_device(const OpticalFlowParams& params, const Exec& exec);

namespace {

constexpr int64_t kMostSide = 16384;
constexpr float kMostLevel = 65535.f;

void require_side(int64_t side, const char* name) {
  CINEFUSE_REQUIRE(side >= 1 && side <= kMostSide, Code::kShape, name,
                   "Expected 1..%lld for %s, received %lld", static_cast<long long>(kMostSide), name,
                   static_cast<long long>(side));
}

void require_levels(const OpticalFlowParams& p) {
  const int64_t frame = p.height * p.width;
  for (int64_t i = 0; i < p.n * frame; ++i) {
    CINEFUSE_REQUIRE(std::fabs(p.floats[i]) <= kMostLevel, Code::kInputValue, "frames",
                     "Expected finite levels within 65535 of 0 for frames, received %g in frame %lld",
                     static_cast<double>(p.floats[i]), static_cast<long long>(i / frame));
  }
}

}  // namespace

FlowTaps flow_taps(double sigma) {
  FlowTaps taps{};
  taps.radius = std::min(kMostFlowRadius, static_cast<int>(std::ceil(2.2 * sigma)));
  double weight[kMostFlowRadius + 1], sum = 0.0;
  for (int i = 0; i <= taps.radius; ++i) {
    weight[i] = std::exp(-0.5 * i * i / (sigma * sigma));
    sum += i == 0 ? weight[i] : 2.0 * weight[i];
  }
  for (int i = 0; i <= taps.radius; ++i) taps.weight[i] = static_cast<float>(weight[i] / sum);
  return taps;
}

std::vector<FlowSize> flow_sizes(const OpticalFlowParams& p) {
  std::vector<FlowSize> sizes = {{p.height, p.width}};
  const size_t most = static_cast<size_t>(p.levels == 0 ? kMostFlowLevels : p.levels);
  while (sizes.size() < most && std::min(sizes.back().height, sizes.back().width) >= 2 * kLeastFlowSide) {
    const FlowSize last = sizes.back();
    sizes.push_back({(last.height + 1) / 2, (last.width + 1) / 2});
  }
  return sizes;
}

void optical_flow_check(const OpticalFlowParams& p, size_t frames_size) {
  require_side(p.height, "height");
  require_side(p.width, "width");
  CINEFUSE_REQUIRE(
      p.n >= 1 && p.n <= (int64_t{1} << 31) && static_cast<size_t>(p.n * p.height * p.width) == frames_size,
      Code::kShape, "frames", "Expected 1 or more frames of %lld x %lld for frames, received %zu levels",
      static_cast<long long>(p.height), static_cast<long long>(p.width), frames_size);
  CINEFUSE_REQUIRE(p.levels >= 0 && p.levels <= kMostFlowLevels, Code::kInputValue, "levels",
                   "Expected 0..%d for levels, received %d", kMostFlowLevels, p.levels);
  CINEFUSE_REQUIRE(p.iterations >= 1 && p.iterations <= 100, Code::kInputValue, "iterations",
                   "Expected 1..100 for iterations, received %d", p.iterations);
  CINEFUSE_REQUIRE(p.window >= 0.5f && p.window <= 6.f, Code::kInputValue, "window",
                   "Expected 0.5..6 for window, received %g", static_cast<double>(p.window));
  CINEFUSE_REQUIRE(p.regularization >= 1e-5f && p.regularization <= 1e3f, Code::kInputValue, "regularization",
                   "Expected 1e-5..1000 for regularization, received %g",
                   static_cast<double>(p.regularization));
}

void optical_flow(const OpticalFlowParams& p, const Exec& exec) {
  if (p.floats) require_levels(p);
  if (p.n < 2) return;
  exec.backend == Backend::kCpu ? optical_flow_cpu(p, exec) : optical_flow_device(p, exec);
}

}  // namespace cinefuse
