#include "optical_flow_device.h"

#include <algorithm>

#include "../../core/device.h"
#include "optical_flow.h"

namespace cinefuse {

static_assert(CINEFUSE_FLOW_WEIGHTS == kMostFlowRadius + 1);

static cinefuse_flow_taps taps_of(const FlowTaps& from) {
  cinefuse_flow_taps taps{};
  taps.radius = from.radius;
  std::copy_n(from.weight, from.radius + 1, taps.weight);
  return taps;
}

void optical_flow_device(const OpticalFlowParams& p, const Exec& exec) {
  cinefuse_optical_flow_params d{};
  d.n = p.n;
  d.height = p.height;
  d.width = p.width;
  d.levels = static_cast<int32_t>(flow_sizes(p).size());
  d.iterations = p.iterations;
  d.regularization = p.regularization;
  d.robust = kFlowRobust;
  d.contrast_floor = kFlowContrastFloor;
  d.presmooth = taps_of(flow_taps(kFlowPresmooth));
  d.local = taps_of(flow_taps(kFlowLocal));
  d.window = taps_of(flow_taps(p.window));
  d.bytes = p.bytes;
  d.floats = p.floats;
  d.flow = p.flow;
  run_on_device(exec, CINEFUSE_OPTICAL_FLOW, d);
}

}  // namespace cinefuse
