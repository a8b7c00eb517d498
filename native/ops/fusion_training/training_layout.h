// Where a step's arrays lie in one piece of memory, on the host or on a device.
#pragma once
#include <algorithm>

#include "training_walk.h"

namespace cinefuse {

struct TrainingLayout {
  std::vector<size_t> value, gradient, saved;  // by value; by node
  size_t addend = 0, loss = 0, floats = 0;

  TrainingLayout() = default;
  // For steps of at most so many films. saved_of(node, rows): floats that its forward leaves for its
  // backward.
  template <class SavedOf>
  TrainingLayout(const TrainingProgram& p, int64_t rows, const std::vector<int64_t>& steps,
                 SavedOf&& saved_of) {
    TrainingSizes most;
    most.rows = rows;
    most.present.assign(p.modalities.size(), rows);
    most.steps = steps;
    for (const TrainingValue& v : p.values) value.push_back(take(most.size_of(v)));
    for (const TrainingValue& v : p.values) gradient.push_back(take(most.size_of(v)));
    int64_t added = 0;
    for (const TrainingNode& node : p.nodes) {
      saved.push_back(take(static_cast<int64_t>(saved_of(node, most))));
      int64_t sum = 0;
      for (size_t j = 0; j < node.in.size(); ++j) {
        if (node.added[j]) sum += most.size_of(p.value(node.in[j]));
      }
      added = std::max(added, sum);
    }
    addend = take(added);
    int64_t widest = 0;
    for (const TrainingLoss& l : p.losses) widest = std::max(widest, l.cols);
    loss = take(3 * rows * widest);
  }

 private:
  size_t take(int64_t n) {
    const size_t at = floats;
    floats += (static_cast<size_t>(n) + 15) / 16 * 16;
    return at;
  }
};

}  // namespace cinefuse
