// What the CUDA library is told of a fusion network; fields as in fusion_network.h, matrices (out, in),
// row-major.
#pragma once
#include <stdint.h>

#include "../kernel_matrix/kernel_matrix_device.h"
#include "../low_rank_fusion/low_rank_fusion_device.h"
#include "../sequence_attention/sequence_attention_device.h"
#include "../tensor_fusion/tensor_fusion_device.h"

struct cinefuse_network_layer {
  int64_t in, out;
  int32_t activation;  // enum class Activation
  int32_t norm;
  const float* w;
  const float* bias;
  const float* gain;   // null without norm
  const float* shift;  //
};

struct cinefuse_network_stack {
  int64_t layers;
  const cinefuse_network_layer* trunk;
  const cinefuse_network_layer* heads;  // null: there is no stack
};

struct cinefuse_network_modality {
  int64_t dim, column;
  int32_t pooling;  // enum class Pooling
  int32_t attention_k;
  const float* mean;
  const float* scale;
  const float* attention_W;  // (attention_k, dim), null unless that is the pooling
  const float* attention_b;
  const float* attention_w;
  const float* absent;  // or null
  cinefuse_network_layer projection;
  cinefuse_network_stack late;
};

struct cinefuse_fusion_network_description {
  int32_t kind;  // enum class FusionKind
  int32_t modalities;
  int64_t columns, fused, outputs;
  float slope, gate;
  const cinefuse_network_modality* modality;
  cinefuse_network_stack stack;
  const float* logits;  // or null
  // Attention over modalities, else null; W (attention_k, fused), w null where it weighs features.
  const float* attention_W;
  const float* attention_b;
  const float* attention_w;
  int64_t attention_k;
  // Where that is the kind, else null.
  const cinefuse_tensor_fusion_description* tensor;
  const cinefuse_low_rank_fusion_description* low_rank;
  // Of cross-modal attention, each with its inner layer.
  const cinefuse_cross_description* block;
  int64_t blocks;
  const cinefuse_kernel_matrix_description* kernel;  // in place of projections
};

struct cinefuse_network_input {
  const float* x;          // null: absent in every row
  const int32_t* lengths;  // (batch) of a sequence, 0 where it is absent; else null
  float* weights;          // (batch, steps) out, or null
  int64_t steps;
};

struct cinefuse_fusion_network_params {
  int64_t batch;
  const uint8_t* present;
  const cinefuse_network_input* inputs;
  float* heads;
  float* modality_weights;
  // (modalities) out: 4 * p + c, p the first position in the modality's input of a number that is not finite
  // and counts, c what it is: 0 NaN, 2 infinity, 1 and 3 their negatives; all bits set if there is none.
  uint64_t* not_finite;
};
