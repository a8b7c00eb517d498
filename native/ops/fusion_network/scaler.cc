#include "scaler.h"

#include <cmath>

namespace cinefuse {
namespace {

// Of the root mean square of mean * scale, weighed as the row of W weighs it: rounding errors grow by
// sqrt(1 + kMostOffset^2) at most.
constexpr double kMostOffset = 1.5;
constexpr double kLeast = 1e-20, kMost = 1e20;  // of a weight that is not 0

}  // namespace

bool fold_scaler(int64_t out, const std::vector<float>& mean, const std::vector<float>& scale, const float* W,
                 const float* b, ScaledLayer& folded) {
  const size_t in = mean.size();
  folded.W.resize(static_cast<size_t>(out) * in);
  folded.b.resize(static_cast<size_t>(out));
  for (size_t o = 0; o < static_cast<size_t>(out); ++o) {
    double bias = b[o], offsets = 0, weights = 0;
    for (size_t j = 0; j < in; ++j) {
      const double w = W[o * in + j], scaled = w * scale[j], offset = scaled * mean[j];
      const double size = std::fabs(scaled);
      if (!(size == 0 || (size >= kLeast && size <= kMost))) return false;
      folded.W[o * in + j] = static_cast<float>(scaled);
      bias -= offset;
      offsets += offset * offset;
      weights += w * w;
    }
    if (!(offsets <= kMostOffset * kMostOffset * weights) || !(std::fabs(bias) <= kMost)) return false;
    folded.b[o] = static_cast<float>(bias);
  }
  return true;
}

}  // namespace cinefuse
