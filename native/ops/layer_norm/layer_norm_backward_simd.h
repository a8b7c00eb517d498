#pragma once

namespace cinefuse {

struct LayerNormBackwardSimd {
  // One row; gain, dx, dgain and dbias may be null, dx may be dy. dgain and dbias are added to.
  void (*row)(long cols, float eps, const float* x, const float* gain, const float* dy, float* dx,
              float* dgain, float* dbias);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(LayerNormBackwardSimd, layer_norm_backward_simd)
}
#endif
