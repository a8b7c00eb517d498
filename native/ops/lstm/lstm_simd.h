#pragma once

namespace cinefuse {

struct LstmSimd {
  // One step of one row. a: (4, hidden), i, f, g, o before their functions. c is replaced; h and y (both or
  // either may be the same) get the new h. saved: (5, hidden) gets i, f, g, o, c; or null.
  void (*step)(long hidden, const float* a, float* c, float* h, float* y, float* saved);
  // Its gradients. saved as above; c_before, dy: (hidden) or null (0); dh: that of the following steps; dc:
  // that of the following steps, replaced by that of c_before. da: (4, hidden).
  void (*gradients)(long hidden, const float* saved, const float* c_before, const float* dy, const float* dh,
                    float* dc, float* da);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(LstmSimd, lstm_simd)
}
#endif
