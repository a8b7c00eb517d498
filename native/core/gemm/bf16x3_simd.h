// The inner loops of products of split operands: x = high + low, both bfloat16, lie in pairs of two k's in 32
// bits, the lower k in the lower half.
#pragma once
#include <stdint.h>

namespace cinefuse {

// A block of 16 to 32 rows in steps of 16, by one panel. The sums of each element, over the pairs p of k's,
// are float32: per 16 pairs low · high, then high · low, then high · high.
struct SplitTile {
  int rows, cols, pairs;    // rows that are to be written; pairs is a multiple of 16
  const uint32_t *ah, *al;  // [row][pair], `pairs_stride` apart, 16 or 32 rows, zeros beyond `rows`
  const uint32_t *bh, *bl;  // [pair][kPanel]
  long pairs_stride;
  const float* start;  // c = (start ? start : c) + sums
  float* c;
  long ldc;
};

struct Bf16x3Simd {
  // high and low parts of from[k * stride + i], i < width (a multiple of 16), k < kc, as [pair][width]; pairs
  // from kc on are zeros up to a multiple of 16. Rounded to nearest even; the low part of what is not finite
  // is 0.
  void (*split)(int kc, int width, const float* from, long stride, uint32_t* high, uint32_t* low);
  // With AMX instructions: null where the compiler had none. The thread's tiles are configured by `begin`.
  void (*begin)();
  void (*tiles)(const SplitTile& tile);
  void (*end)();
  // The same algorithm, its tile instructions done in plain C++.
  void (*software_tiles)(const SplitTile& tile);
  // With AVX512-BF16, up to 12 rows: null where the compiler had none.
  void (*dot)(const SplitTile& tile);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(Bf16x3Simd, bf16x3_simd)
}
#endif
