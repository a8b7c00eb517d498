// What the CUDA library is told of a loss; fields as in loss.h.
#pragma once
#include <stdint.h>

struct cinefuse_loss_params {
  int32_t kind, reduction;  // enum class LossKind, Reduction
  int64_t rows, cols;
  float delta, smoothing;
  const float *x, *target, *class_weights, *row_weights;  // weights may be null
  float *loss, *dx;                                       // dx may be null
};
