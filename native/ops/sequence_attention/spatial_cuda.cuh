// Attention over the positions of feature maps in device memory.
#pragma once
#include "../../cuda/attend.h"

namespace cinefuse::gpu {

// x: (batch, channels, positions); query: (channels), or (batch, channels) where query_step is not 0.
struct SpatialArguments {
  int64_t batch;
  int channels, positions;
  int64_t query_step;
  float scale, bias;
  const float *x, *query;
  float *c, *alpha;
  AttendParts parts;  // of maps that are split
};

// For maps that shared memory holds whole and whose rows do not begin at multiples of 16 bytes. False for all
// others.
bool spatial_held(Call& call, const SpatialArguments& arguments);

}  // namespace cinefuse::gpu
