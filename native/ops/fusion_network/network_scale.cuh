// A network's inputs, scaled and checked for numbers that are not finite: those that no small layer reads.
#pragma once
#include "network_layers.cuh"

namespace cinefuse::gpu {

// y <- (x - mean) * scale of each vector, zeros for those that are not there; or with `average` of the mean
// of a row's steps. mean, scale: (dim) rounded up to a multiple of four. Rows of y are ldy apart.
struct ScaledInput {
  const float *x, *mean, *scale;
  int64_t steps;
  const int32_t* lengths;  // (batch), 0 where the modality is absent; null: one step, where `present` says so
  float* y;
  float* weights;        // with `average`: (batch, steps), 1 / length each; or null
  uint64_t* not_finite;  // (scale_blocks): what each block found, as in cinefuse_fusion_network_params
  int dim, ldy, average, modality;
};
int64_t scale_units(int64_t batch, int64_t steps, int64_t dim, bool average);
int64_t scale_blocks(const Device& device, int64_t most_units);
// All modalities in one launch, of scale_blocks of the most units.
void scale_inputs(Call& call, int64_t batch, const NetworkRows& network,
                  const std::vector<ScaledInput>& inputs);

}  // namespace cinefuse::gpu
