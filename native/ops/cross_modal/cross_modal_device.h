// What the CUDA library is told of the gradients of cross-modal attention; fields and shapes as in
// cross_modal.h, in host memory.
#pragma once
#include <stdint.h>

// weights, gradients: of all blocks, one after the other, each in the order of cross_arrays.
struct cinefuse_cross_modal_backward_params {
  int64_t d, heads, ff, blocks, batch, modalities;
  const float* const* weights;
  const float* h;
  const uint8_t* mask;  // or null
  const float* dc;
  float* dh;
  float* const* gradients;
};
