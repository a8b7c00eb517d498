// Dense motion from each frame to the next, coarse to fine: where pixel (x, y) of frame i went in frame i
// + 1.
//
// frames: (n, height, width), grey levels about 0..255, row-major; flow: (n - 1, height, width, 2) float32,
// (dx, dy) in pixels. Of every frame a pyramid I_0, I_1, ... is made, a level the means of 2 x 2 pixels of
// the one before (the last row or column twice at an odd edge), and of every level the local contrast
//
//   P = G(0.7) * I,   D = P - G(3) * P,   C = D / sqrt(G(3) * D² + 6²),
//
// which a fade or another exposure leaves as it is. G(s) is a Gaussian of ceil(2.2 s) pixels on each side,
// reflected at the edges without repeating them. From the coarsest level, u = 0, `iterations` times:
//
//   W(x) = C₂(x + u), bilinear, clamped to the frame      r = W - C₁
//   g = ∇(C₁ + W) / 2, by five points                     w = inside / (1 + (r / 0.3)²)
//   (G(window) * w g gᵀ + regularization) u' = G(window) * (w g (g · u - r) + regularization u)
//
// inside falls from 1 to 0 over the first pixel outside the frame. After a level's last iteration both planes
// of u take the median of 3 x 3 pixels; the next level begins with 2 u, interpolated. A flat area takes the
// motion around it.
//
// Source: Lucas and Kanade 1981; Bouguet 2001 (pyramid); Simoncelli 1991 (prior); Sun, Roth and Black 2010
// (median).
#pragma once
#include <vector>

#include "../../core/exec.h"

namespace cinefuse {

constexpr int kMostFlowLevels = 12;
constexpr int64_t kLeastFlowSide = 16;  // the shorter side is not halved to less
constexpr int kMostFlowRadius = 15;
constexpr double kFlowPresmooth = 0.7, kFlowLocal = 3.0;  // standard deviations
constexpr float kFlowRobust = 0.3f;
constexpr float kFlowContrastFloor = 6.f;
constexpr int kFlowSums = 5;  // w gx gx, w gx gy, w gy gy, and the two right-hand sides

struct OpticalFlowParams {
  int64_t n, height, width;
  int levels;      // at most; 0: as many as the size allows
  int iterations;  // of each level
  float window;    // standard deviation in pixels
  float regularization;
  const uint8_t* bytes;  // or null
  const float* floats;   // or null
  float* flow;
};

struct FlowTaps {
  int radius;
  float weight[kMostFlowRadius + 1];  // of the middle, then outwards
};
FlowTaps flow_taps(double sigma);

// (height, width) of every level, the finest first.
struct FlowSize {
  int64_t height, width;
};
std::vector<FlowSize> flow_sizes(const OpticalFlowParams& params);

// Throws ERR_SHAPE, ERR_INPUT_VALUE for what cannot be run; cheap, for the JS thread.
void optical_flow_check(const OpticalFlowParams& params, size_t frames_size);
// Throws ERR_INPUT_VALUE for a level that is not finite or beyond ±65535.
void optical_flow(const OpticalFlowParams& params, const Exec& exec);

}  // namespace cinefuse
