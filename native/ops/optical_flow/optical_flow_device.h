// What the CUDA library is told of optical flow; fields as in optical_flow.h, with all that follows from
// them.
#pragma once
#include <stdint.h>

#define CINEFUSE_FLOW_WEIGHTS 16

struct cinefuse_flow_taps {
  int32_t radius;
  float weight[CINEFUSE_FLOW_WEIGHTS];
};

struct cinefuse_optical_flow_params {
  int64_t n, height, width;
  int32_t levels;  // of the pyramid, the finest counted
  int32_t iterations;
  float regularization, robust, contrast_floor;
  cinefuse_flow_taps presmooth, local, window;
  const uint8_t* bytes;  // or null
  const float* floats;   // or null
  float* flow;
};
