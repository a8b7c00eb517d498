// Layers of a network on device memory: many small ones in one launch, large ones through gemm.
#pragma once
#include "../../cuda/gemm.h"

namespace cinefuse::gpu {

constexpr int kMostNetworkJobs = 33;  // the modalities of a network, and what comes after them

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

  // Whether so many rows go through the kernel for small layers: it reads the weights once for every 8 rows.
  bool thin(int64_t rows) const {
    const int64_t n = in * out;
    return rows <= 256 && n <= (1 << 20) && n * blocks_of(rows, 8) <= (1 << 23);
  }
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
  // With them, or null. not_finite: what is not finite in each 8 rows, as in cinefuse_fusion_network_params;
  // scaled: the scaled x that are there, rows as far apart as mean is long.
  uint64_t* not_finite = nullptr;
  float* scaled = nullptr;
  // Column of `present` that says which rows are there: of others x is not read, and y is `absent` (out) or
  // zeros. Less than 0: all are there.
  int modality = -1;
  const float* absent = nullptr;
  // Thin ones only: instead, of every `steps` rows the first lengths[..] are there.
  const int32_t* lengths = nullptr;
  int64_t steps = 1;
};

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

__device__ __forceinline__ float4 standardise(float4 x, float4 mean, float4 scale) {
  return make_float4((x.x - mean.x) * scale.x, (x.y - mean.y) * scale.y, (x.z - mean.z) * scale.z,
                     (x.w - mean.w) * scale.w);
}

}  // namespace cinefuse::gpu
