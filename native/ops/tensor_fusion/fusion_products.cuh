// What training tensor and low-rank fusion on a device is made of: float32 on the plain cores whatever the
// call's precision, sums in a fixed order, so that the same call gives the same bits. Launches only.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

constexpr int kMostFusionModes = 8;
constexpr int kMostTensorModes = 4;

struct FusionDims {
  int modes;
  int d[kMostFusionModes];  // without the appended 1
  int64_t product() const {
    int64_t p = 1;
    for (int m = 0; m < modes; ++m) p *= d[m] + 1;
    return p;
  }
};
struct FusionInputs {
  int64_t rows;
  const float* h[kMostFusionModes];  // (rows, d[m])
  const uint8_t* present;            // (rows, modes), or null
};

// Of every batch y: c[r][n] (+)= sum_k a(r, k) b(n, k), a(r, k) = a[y * a_batch + r * a_row + k * a_k], b(n,
// k) = b[y * b_batch + n * b_col + k * b_k], c at c + y * c_batch, rows c_row apart. With depth_all the
// batches are parts of one sum, of `depth` k's each, the last of what is left of depth_all.
struct FusionProduct {
  int64_t rows, cols, depth;
  const float *a, *b;
  int64_t a_row, a_k, b_col, b_k;
  float* c;
  int64_t c_row;
  bool add;
  int64_t batches, a_batch, b_batch, c_batch;
  int64_t depth_all;
};
void fusion_product(Call& call, const FusionProduct& product);

// [h_m; 1] of every row, (rows, d + 1); zeros and the 1 where the modality is absent.
void fusion_values(Call& call, const FusionDims& dims, const FusionInputs& inputs, int mode, float* values);
// y[i] = (add ? y[i] : bias ? bias[i % cols] : 0) + the parts' i-th numbers in order; 0 where `mode` of i's
// row is absent. parts: (count, rows, cols).
struct FusionParts {
  int64_t rows, cols, count;
  const float *parts, *bias;
  bool add;
  const uint8_t* present;  // of row r: present[r * modes], or null
  int modes;
  float* y;
};
void fusion_add_parts(Call& call, const FusionParts& parts);
// sums[j] = sum_r x[r][j]; x: (rows, cols)
void fusion_sum_rows(Call& call, int64_t rows, int64_t cols, const float* x, float* sums);

}  // namespace cinefuse::gpu
