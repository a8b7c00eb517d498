// The weights of `cross` as they come from JavaScript: one list, in the order of CrossWeights.
#pragma once
#include "../../node/boundary.h"
#include "sequence_attention.h"

namespace cinefuse {

// Sizes of p are set and checked; sets its pointers. Throws ERR_SHAPE by the weight's name.
inline void read_cross_weights(const std::vector<Span<const float>>& weights, CrossWeights& p) {
  const std::vector<CrossArray> arrays = cross_arrays(p);
  CINEFUSE_REQUIRE(weights.size() == arrays.size(), Code::kShape, "weights",
                   "Expected %zu weights, received %zu", arrays.size(), weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const CrossArray& array = arrays[i];
    const size_t expected = static_cast<size_t>(array.rows) * static_cast<size_t>(array.cols);
    CINEFUSE_REQUIRE(weights[i].size == expected, Code::kShape, array.name,
                     "Expected %zu elements for %s of shape (%lld, %lld), received %zu", expected, array.name,
                     static_cast<long long>(array.rows), static_cast<long long>(array.cols), weights[i].size);
    *array.to = weights[i].data;
  }
}

}  // namespace cinefuse
