// Layers of a network on device memory: many small ones in one launch, large ones through gemm.
#pragma once
#include "../../cuda/gemm.h"

namespace cinefuse::gpu {

constexpr int kMostNetworkJobs = 33;  // the modalities of a network and what comes after them

struct DeviceLayer {
  int64_t in = 0, out = 0;
  int activation = 0;
  bool norm = false;
  GemmWeights weights;
  Array<float> gain, shift;

  DeviceLayer() = default;
  // Host memory. w: (out, in); bias (out) or null; gain, shift: (out), or null without norm
  DeviceLayer(Call& call, int64_t in, int64_t out, int activation, const float* w, const float* bias,
              const float* gain, const float* shift);

  // Whether so many rows read the weights in the kernel for few rows, where scaling costs nothing more.
  bool thin(int64_t rows) const { return rows <= 8 || (rows <= 64 && in * out <= (1 << 20)); }
};

// y (rows, out) <- act(LN(W x + b)), rows ldx and ldy apart.
struct LayerRun {
  const DeviceLayer* layer;
  int64_t rows;
  const float* x;
  int64_t ldx;
  float* y;
  int64_t ldy;
  // Thin ones only: x <- (x - mean) * scale first, (in) rounded up to a multiple of four, padded with zeros.
  const float* mean = nullptr;
  const float* scale = nullptr;
  uint64_t* not_finite = nullptr;  // (row_blocks(rows)): as in cinefuse_fusion_network_params
  // Column of `present` that says which rows are there; of others x is not read, and y is `absent` (out) or
  // zeros. Less than 0: all are there.
  int modality = -1;
  const float* absent = nullptr;
};
int64_t row_blocks(int64_t rows);

struct NetworkRows {
  const uint8_t* present;  // (batch, modalities)
  int modalities;
  float slope;
};

// All of the runs, at most kMostNetworkJobs, in as few launches as can be. They must not depend on each
// other.
void run_layers(Call& call, const NetworkRows& network, const std::vector<LayerRun>& runs);

// What of a number's bits says that it is infinite or NaN, as in cinefuse_fusion_network_params.
__device__ __forceinline__ bool is_not_finite(float x) {
  return (float_to_bits(x) & 0x7f800000u) == 0x7f800000u;
}
__device__ __forceinline__ unsigned kind_of_not_finite(float x) {
  const uint32_t bits = float_to_bits(x);
  return (bits & 0x007fffffu ? 0u : 2u) + (bits >> 31);
}

}  // namespace cinefuse::gpu
