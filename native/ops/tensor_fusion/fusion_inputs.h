// What the fusion operators share: the sizes of the modalities, their vectors and which of them are there.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../core/error.h"

namespace cinefuse {

constexpr int kMostFusionModes = 8;
constexpr int kFusionScratch = 5;  // thread_scratch slot of tensor_fusion and low_rank_fusion, beside gemm's

struct FusionDims {
  int modes;
  std::array<int, kMostFusionModes> d;  // without the appended 1
  int64_t product() const {             // of the sizes with their 1
    int64_t p = 1;
    for (int m = 0; m < modes; ++m) p *= d[static_cast<size_t>(m)] + 1;
    return p;
  }
};

struct FusionInputs {
  int64_t rows;
  std::array<const float*, kMostFusionModes> h;  // h[m]: (rows, d[m])
  const uint8_t* present;                        // (rows, modes), 0 where absent; null: all are there
};

// Two to `most` sizes from 1 to 65535. Throws ERR_SHAPE.
FusionDims fusion_dims(const std::vector<int64_t>& sizes, int most);
// sizes[m] is the length of h_m. Throws ERR_SHAPE. `present_size` is -1 without a mask.
void fusion_check_inputs(const FusionDims& dims, int64_t rows, const std::vector<size_t>& sizes,
                         int64_t present_size);
// Throws ERR_INPUT_VALUE when the output overlaps an input.
void fusion_check_out(const FusionDims& dims, const FusionInputs& inputs, const float* out, size_t out_size);

}  // namespace cinefuse
