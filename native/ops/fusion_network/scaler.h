// A scaler that becomes part of the layer behind it: W((x - mean) * scale) + b = W'x + b', so that nobody has
// to write the scaled vectors.
#pragma once
#include <cstdint>
#include <vector>

namespace cinefuse {

struct ScaledLayer {
  std::vector<float> W, b;
};

// Fills `folded` for W (out, in) and b (out), computed in double, and returns true, unless that would cost
// accuracy: where the means reach far beyond the spread of what is left of x (then W'x and b' are large and
// cancel each other), or W' leaves the range in which float32 is exact to 24 bits.
bool fold_scaler(int64_t out, const std::vector<float>& mean, const std::vector<float>& scale, const float* W,
                 const float* b, ScaledLayer& folded);

}  // namespace cinefuse
