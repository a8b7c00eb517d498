// What the CUDA library is told of the gradients of attention over modalities; fields and shapes as in
// modality_attention_backward.h, in host memory.
#pragma once
#include <stdint.h>

struct cinefuse_modality_attention_backward_params {
  int32_t form;  // enum class AttentionForm
  int32_t reserved;
  int64_t d, k, batch, modalities;
  const float *W, *b, *w;  // w: null for `feature`
  const float* h;
  const uint8_t* mask;  // or null
  const float* dc;
  float *dh, *dW, *db, *dw;  // dw: null for `feature`
};
