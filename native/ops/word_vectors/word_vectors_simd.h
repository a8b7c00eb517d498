#pragma once

namespace cinefuse {

struct WordVectorsSimd {
  // One prediction: `in` against `count` rows, of which the first is the true one. The rows are changed; what
  // is due to `in` is added to it, or written to `due` where that is not null. stride: a multiple of 16.
  void (*step)(long stride, float* in, int count, float* const* rows, float rate, float* due);
  // y = scale * (y + x), and y += x
  void (*sum)(long stride, const float* x, float scale, float* y);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(WordVectorsSimd, word_vectors_simd)
}
#endif
