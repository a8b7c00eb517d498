// A whole fusion head in one call: scaler, pooling over time, projections, fusion, trunk and output heads,
// from a plan that is built once and is immutable after that.
//
// For each modality m of a row, absent ones never read:
//   x <- (x - mean) * scale          each vector
//   x <- mean of the steps, or additive attention over them (sequence_attention)
//   h_m = act(LN(W x + b))           LN where the layer has one, eps 1e-5
// Fusion F of the h_m (a: weights over the modalities present, given out where the kind has them):
//   concat        F = [h_1 ... h_M], absent ones replaced by a learned vector
//   weighted-sum  a = softmax of logits over the present, F = sum a_m h_m
//   attention     modality_attention; a of the `feature` form is its mean over the features
//   tensor        F = act(tensor_fusion), low-rank  F = act(low_rank_fusion); absent: h_m = 0 beside the
//   constant 1 late          y = sum a_m heads_m(trunk_m(h_m)), a as in weighted-sum hybrid        y = g
//   early + (1 - g) late, g = sigmoid(gate), early as concat
//   cross-modal   F = cross_modal
//   kernel        F = kernel_matrix between the x and the landmarks, in place of h_m
// Then trunk layers F = act(LN(W F + b)) and heads y = W F + b, all heads beside each other.
// Source: Zadeh et al. 2017 (tensor), Liu et al. 2018 (low-rank); the rest is described whole here.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../../core/device.h"
#include "../../core/gemm/gemm.h"
#include "../activation/activation.h"
#include "../cross_modal/cross_modal.h"
#include "../kernel_matrix/kernel_matrix.h"
#include "../low_rank_fusion/low_rank_fusion.h"
#include "../modality_attention/modality_attention.h"
#include "../sequence_attention/sequence_attention.h"
#include "../tensor_fusion/tensor_fusion.h"

namespace cinefuse {

enum class Pooling : int { kNone = 0, kMean = 1, kAttention = 2 };
enum class FusionKind : int {
  kConcat = 0,
  kWeightedSum,
  kLate,
  kHybrid,
  kTensor,
  kLowRank,
  kAttention,
  kKernel,
  kCrossModal
};
constexpr int kFusionKindCount = 9;
constexpr int64_t kMaxNetworkModalities = 32;
constexpr float kNetworkSlope = 0.01f;  // of leaky_relu

struct NetworkLayer {
  int64_t in = 0, out = 0;
  Activation activation = Activation::kNone;
  bool norm = false;
  PackedMatrix W;
  std::vector<float> bias, gain, shift;
};

struct NetworkStack {
  std::vector<NetworkLayer> trunk;
  PackedMatrix heads;
  std::vector<float> heads_bias;
};

struct NetworkModality {
  std::string name;
  int64_t dim = 0, column = 0;  // column of h_m in a row of all h
  Pooling pooling = Pooling::kNone;
  std::vector<float> mean, scale;
  bool plain = false;           // the scaler does nothing: it is part of the weights
  AdditiveAttention attention;  // over time, where that is the pooling
  NetworkLayer projection;
  std::vector<float> absent;
  KernelLandmarks kernel;
  NetworkStack late;
  // Of hybrid.
  bool early() const { return !absent.empty(); }
  bool is_late() const { return late.heads.out() > 0; }
};

struct FusionNetwork {
  FusionKind kind;
  std::vector<NetworkModality> modalities;
  int64_t columns = 0;  // of all h of a row
  int64_t fused = 0;    // width of F
  int64_t outputs = 0;  // of all heads
  int64_t widest = 0;   // layer of any trunk
  NetworkStack stack;   // the trunk and heads behind F; empty for late
  std::vector<float> logits;
  float gate = 0.f;
  KernelCombine combine = KernelCombine::kSum;  // of kernels
  float constant = 1.f;                         // of their product
  TensorFusion tensor;
  LowRankFusion low_rank;
  ModalityAttention attention;
  CrossModal cross;
  int64_t bytes = 0;
  DeviceTwins twins;

  bool multiplies() const { return kind == FusionKind::kTensor || kind == FusionKind::kLowRank; }
  bool has_weights() const {
    return kind == FusionKind::kWeightedSum || kind == FusionKind::kLate || kind == FusionKind::kHybrid ||
           kind == FusionKind::kAttention;
  }
};

struct NetworkWeight {
  const float* data;
  size_t size;
};

// `description` is what lib/fusion/network.ts encodes; `weights` come in the order of its weightShapes().
std::shared_ptr<const FusionNetwork> fusion_network_build(const std::vector<std::string>& names,
                                                          const std::vector<int64_t>& description,
                                                          const std::vector<NetworkWeight>& weights);

struct NetworkInput {
  const float* x = nullptr;  // (batch, steps, dim); null: absent in every row
  size_t size = 0;
  int64_t steps = 1;
  const int32_t* lengths = nullptr;  // (batch); null: all steps count
  float* weights = nullptr;          // (batch, steps) out, or null
};

struct FusionNetworkParams {
  int64_t batch;
  const uint8_t* present;  // (batch, modalities)
  size_t present_size;
  const NetworkInput* inputs;  // one a modality
  float* heads;                // (batch, outputs)
  float* modality_weights;     // (batch, modalities) or null
};

// On the JS thread: shapes, presence, lengths. Values are checked while running.
void fusion_network_check(const FusionNetwork& network, const FusionNetworkParams& params);
void fusion_network(const FusionNetwork& network, const FusionNetworkParams& params, const Exec& exec);

// ERR_INPUT_VALUE for a number of a modality that is infinite or NaN, `at` numbers after the row's first.
[[noreturn]] void throw_not_finite(const NetworkModality& modality, int64_t row, int64_t at, float value);

}  // namespace cinefuse
