// Fusions that weigh the modalities of each row.
#pragma once
#include "network_layers.cuh"

namespace cinefuse::gpu {

// y[r] = early_share * early[r] + (1 - early_share) * sum_m a_m v_m[r], vectors of `cols`, a = softmax of the
// logits over the modalities that are there.
struct WeighedRows {
  const float* logits;  // (modalities)
  const float* v;       // v_m[r] at v + m * modality_stride + r * row_stride; not read where it is not there
  int64_t modality_stride, row_stride;
  float* y;
  int64_t cols, ldy;
  float* weights;                // a: (rows, modalities), or null
  const float* early = nullptr;  // (rows, cols)
  float early_share = 0.f;
  // Bits of the modalities on each side: a row without any of one side is the other's alone.
  uint32_t early_side = ~0u, late_side = ~0u;
};
void weigh_rows(Call& call, int64_t rows, const NetworkRows& network, const WeighedRows& run);

// y[r][j] = sum_m a_m[j] h[r][m][j], a_m[j] = softmax over the modalities that are there of e[r][m][j], which
// it replaces; weights[r][m] = mean of a_m over j, or null. h, e: (rows, modalities, d); y: (rows, d).
void weigh_features(Call& call, int64_t rows, int64_t d, const NetworkRows& network, const float* h, float* e,
                    float* y, float* weights);

}  // namespace cinefuse::gpu
