// The weights of `cross` as they come from JavaScript: one list, in the order of CrossWeights.
#pragma once
#include "../../node/boundary.h"
#include "sequence_attention.h"

namespace cinefuse {

// Sizes of p are set and checked; sets its pointers. Throws ERR_SHAPE by the weight's name.
inline void read_cross_weights(const std::vector<Span<const float>>& weights, CrossWeights& p) {
  const int64_t e = p.width, c = p.context_width, ff = p.ff;
  struct Array {
    const char* name;
    int64_t rows, cols;
    const float** to;
  };
  const Array arrays[] = {
      {"Wq", e, e, &p.Wq},
      {"bq", e, 1, &p.bq},
      {"Wk", e, c, &p.Wk},
      {"bk", e, 1, &p.bk},
      {"Wv", e, c, &p.Wv},
      {"bv", e, 1, &p.bv},
      {"Wo", e, e, &p.Wo},
      {"bo", e, 1, &p.bo},
      {"block.norm1.weight", e, 1, &p.gain1},
      {"block.norm1.bias", e, 1, &p.shift1},
      {"block.W1", ff, e, &p.W1},
      {"block.b1", ff, 1, &p.b1},
      {"block.W2", e, ff, &p.W2},
      {"block.b2", e, 1, &p.b2},
      {"block.norm2.weight", e, 1, &p.gain2},
      {"block.norm2.bias", e, 1, &p.shift2},
  };
  CINEFUSE_REQUIRE(weights.size() == (ff ? 16 : 8), Code::kShape, "weights",
                   "Expected %d weights, received %zu", ff ? 16 : 8, weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const Array& array = arrays[i];
    const size_t expected = static_cast<size_t>(array.rows) * static_cast<size_t>(array.cols);
    CINEFUSE_REQUIRE(weights[i].size == expected, Code::kShape, array.name,
                     "Expected %zu elements for %s of shape (%lld, %lld), received %zu", expected, array.name,
                     static_cast<long long>(array.rows), static_cast<long long>(array.cols), weights[i].size);
    *array.to = weights[i].data;
  }
}

}  // namespace cinefuse
