// From a network's inputs to one vector a row and modality: scaling, the check for numbers that are not
// finite, and pooling over time.
#pragma once
#include "network_layers.cuh"

namespace cinefuse::gpu {

// One modality. y <- (x - mean) * scale of each vector (its rows ldy apart), or with `pool` of the mean of a
// row's steps; zeros for what is absent. `weights` (batch, steps), with `pool`: 1 / length each, or null.
struct ScaledInput {
  const float *x, *mean, *scale;
  const int32_t* lengths;  // or null
  float *y, *weights;
  uint64_t* not_finite;  // must hold all bits before
  int64_t steps;
  int dim, ldy, pool, modality;
};
// All modalities in one launch.
void scale_inputs(Call& call, int64_t batch, const NetworkRows& network,
                  const std::vector<ScaledInput>& inputs);

// Attention over the vectors of each row, given what their hidden layer made of them:
//   alpha = softmax_t(w . hidden_t),  c = sum_t alpha_t x_t
// over the first lengths[row] steps of rows in which the modality is there; with modality < 0 over the steps
// whose byte in network.present, then (rows, steps), is not 0.
struct AttendedRows {
  const float *hidden, *w, *x;
  const int32_t* lengths;     // or null
  float *scores, *c, *alpha;  // scores: scratch, (rows, steps); alpha: (rows, steps) or null
  int64_t steps;
  int k, ldhidden, d, ldx, ldc, modality;
};
void attend_rows(Call& call, int64_t rows, const NetworkRows& network, const std::vector<AttendedRows>& runs);

}  // namespace cinefuse::gpu
