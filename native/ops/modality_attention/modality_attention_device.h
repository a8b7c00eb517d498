// What the CUDA library is told of an attention over modalities; fields and shapes as in
// modality_attention.h.
#pragma once
#include <stdint.h>

struct cinefuse_modality_attention_description {
  int32_t tanh;  // else the feature form, where k = d and b and w are null
  int32_t reserved;
  int64_t d, k;
  const float *W, *b, *w;
};
struct cinefuse_modality_attention_params {
  int64_t batch, modalities;
  const float* h;
  const uint8_t* mask;  // or null
  float *c, *alpha;
};
