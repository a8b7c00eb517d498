// What the CUDA library is told of a tensor fusion and of an outer product; fields as in tensor_fusion.h.
#pragma once
#include <stdint.h>

struct cinefuse_tensor_fusion_description {
  int32_t modes;       // 2 to 4
  int32_t activation;  // enum class Activation, elementwise
  int64_t d[4];        // sizes without the appended 1
  int64_t out;
  const float* weight;  // (out, product of the sizes with their 1)
  const float* bias;    // or null
  float slope;
  int32_t reserved;
};

struct cinefuse_tensor_fusion_params {
  int64_t rows;
  const float* h[4];       // (rows, d[m])
  const uint8_t* present;  // (rows, modes), or null
  float* y;                // (rows, out)
};

struct cinefuse_outer_product_params {
  int64_t rows, modes;
  int64_t d[4];
  const float* h[4];
  const uint8_t* present;  // or null
  float* z;                // (rows, product of the sizes with their 1)
};
