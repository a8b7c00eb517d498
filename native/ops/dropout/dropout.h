// Dropout: y_i = keep_i ? x_i / (1 - p) : 0, keep_i with chance 1 - p.
//
// Which elements stay is a pure function of (seed, stream, i), by the counter-based Philox4x32-10: the same
// on every backend, instruction set and number of threads, in any order, and again for the gradient, which is
// this very function of dy. Source: Srivastava et al. 2014; Salmon et al. 2011 (Philox).
#pragma once
#include <cstdint>

#include "../../core/exec.h"

namespace cinefuse {

struct DropoutParams {
  float p;          // [0, 1)
  uint64_t seed;    // of the run
  uint64_t stream;  // of this use: step and layer
  int64_t n;
  const float* x;
  float* y;  // may be x
};
void dropout_check(const DropoutParams& params);
void dropout(const DropoutParams& params, const Exec& exec);

}  // namespace cinefuse
