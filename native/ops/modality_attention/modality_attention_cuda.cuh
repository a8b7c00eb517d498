// Attention over modalities on device memory, for operators that contain it.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

// h, e: (rows, m, d); mask: (rows, m) or null; c: (rows, d). e becomes the weights.
struct FeatureRows {
  int rows, m, d;
  const float* h;
  const uint8_t* mask;
  float *e, *c;
};
// c[j] = sum_i a_i[j] h_i[j], a_i[j] = softmax over the modalities present of e_i[j]
void attend_features(Call& call, const FeatureRows& rows);

}  // namespace cinefuse::gpu
