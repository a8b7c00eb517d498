// The blocks of a node of cross-modal attention, from where its weights lie in the trainer's arrays.
#pragma once
#include "../cross_modal/cross_modal.h"
#include "training_program.h"

namespace cinefuse {

// `parameters` may be null, where only the sizes count.
inline std::vector<CrossWeights> training_cross_weights(const TrainingNode& node, int64_t d,
                                                        const float* parameters) {
  std::vector<CrossWeights> blocks(static_cast<size_t>(node.integer[2]));
  for (size_t i = 0; i < blocks.size(); ++i) {
    CrossWeights& w = blocks[i];
    w.width = w.context_width = d;
    w.heads = node.integer[0];
    w.ff = node.integer[1];
    if (!parameters) continue;
    const std::vector<CrossArray> arrays = cross_arrays(w);
    for (size_t j = 0; j < arrays.size(); ++j) *arrays[j].to = parameters + node.param[16 * i + j];
  }
  return blocks;
}

inline std::vector<CrossGradients> training_cross_gradients(const TrainingNode& node, float* gradients) {
  std::vector<CrossGradients> blocks(static_cast<size_t>(node.integer[2]));
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::vector<float**> arrays = cross_gradient_arrays(blocks[i]);
    for (size_t j = 0; j < arrays.size(); ++j) *arrays[j] = gradients + node.param[16 * i + j];
  }
  return blocks;
}

}  // namespace cinefuse
