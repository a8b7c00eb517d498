// Tensor fusion in training and the outer product's gradients on the device; fields as in
// tensor_fusion_backward.h. Which results are wanted says what runs: y forward, dW (with db and dh) backward,
// dz given (with dh) the product's.
#pragma once
#include <stdint.h>

struct cinefuse_tensor_fusion_training {
  int64_t rows, modes, out;
  int64_t d[4];
  const float* h[4];
  const uint8_t* present;                // or null
  const float *weight, *bias, *dy, *dz;  // null where of no use
  float *y, *dW, *db;
  float* dh[4];
};
