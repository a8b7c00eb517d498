// A fusion network on one device.
#pragma once
#include "../../cuda/plans.h"
#include "../kernel_matrix/kernel_matrix_cuda.cuh"
#include "../low_rank_fusion/low_rank_fusion_cuda.cuh"
#include "../tensor_fusion/tensor_fusion_cuda.cuh"
#include "fusion_network_device.h"
#include "network_layers.cuh"

namespace cinefuse::gpu {

// As in fusion_network.h.
enum class NetworkPooling : int32_t { kNone, kMean, kAttention };
enum class NetworkKind : int32_t {
  kConcat,
  kWeightedSum,
  kLate,
  kHybrid,
  kTensor,
  kLowRank,
  kAttention,
  kKernel,
  kCrossModal
};

struct NetworkStack {
  std::vector<DeviceLayer> trunk;
  DeviceLayer heads;
};

struct NetworkModality {
  int64_t dim = 0, column = 0;
  NetworkPooling pooling = NetworkPooling::kNone;
  Array<float> mean, scale, attention_w, absent;
  DeviceLayer attention, projection;  // projection: or the landmarks of a kernel
  DeviceKernel kernel;
  NetworkStack late;
};

struct NetworkBlock {
  int heads = 1;
  DeviceLayer q, kv, o, first, second;
  Array<float> gain1, shift1, gain2, shift2;
};

struct NetworkObject final : Object {
  NetworkKind kind{};
  int64_t columns = 0, fused = 0, outputs = 0;
  float slope = 0.f, gate = 0.f;
  std::vector<NetworkModality> modalities;
  NetworkStack stack;
  Array<float> logits, attention_w;
  DeviceLayer attention;  // over modalities; of features where there is no attention_w
  TensorFusionWeights tensor;
  LowRankFusionWeights low_rank;
  std::vector<NetworkBlock> blocks;  // of cross-modal attention
  int combine = 0;                   // of kernels
  float constant = 1.f;              // of their product
  mutable PlanCache plans;

  bool shrink() const override { return plans.drop_idle(); }
};

std::unique_ptr<NetworkObject> network_create(Call& call, const cinefuse_fusion_network_description& d);

}  // namespace cinefuse::gpu
