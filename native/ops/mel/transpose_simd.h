// W x W transposition in registers; included by mel_simd.cc only.
#pragma once
#include "../../core/simd.h"

namespace {

#if defined(__clang__)
#define CINEFUSE_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CINEFUSE_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, VI{__VA_ARGS__})
#endif

// Interleaves of two rows: single floats and pairs within each 128 bits, then 128-bit and 256-bit blocks.
#if CINEFUSE_W == 16
CINEFUSE_INLINE V low1(V a, V b) {
  return CINEFUSE_SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
CINEFUSE_INLINE V high1(V a, V b) {
  return CINEFUSE_SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
CINEFUSE_INLINE V low2(V a, V b) {
  return CINEFUSE_SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
CINEFUSE_INLINE V high2(V a, V b) {
  return CINEFUSE_SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
CINEFUSE_INLINE V low4(V a, V b) {
  return CINEFUSE_SHUFFLE(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
}
CINEFUSE_INLINE V high4(V a, V b) {
  return CINEFUSE_SHUFFLE(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
}
CINEFUSE_INLINE V low8(V a, V b) {
  return CINEFUSE_SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
}
CINEFUSE_INLINE V high8(V a, V b) {
  return CINEFUSE_SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
#elif CINEFUSE_W == 8
CINEFUSE_INLINE V low1(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13); }
CINEFUSE_INLINE V high1(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15); }
CINEFUSE_INLINE V low2(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13); }
CINEFUSE_INLINE V high2(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15); }
CINEFUSE_INLINE V low4(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11); }
CINEFUSE_INLINE V high4(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15); }
#else
CINEFUSE_INLINE V low1(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 0, 4, 1, 5); }
CINEFUSE_INLINE V high1(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 2, 6, 3, 7); }
CINEFUSE_INLINE V low2(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 0, 1, 4, 5); }
CINEFUSE_INLINE V high2(V a, V b) { return CINEFUSE_SHUFFLE(a, b, 2, 3, 6, 7); }
#endif

// r[i][j] becomes r[j][i].
CINEFUSE_INLINE void transpose(V* r) {
  for (int g = 0; g < W; g += 4) {  // 4 x 4 within each 128 bits
    const V a = low1(r[g], r[g + 1]), b = high1(r[g], r[g + 1]);
    const V c = low1(r[g + 2], r[g + 3]), d = high1(r[g + 2], r[g + 3]);
    r[g] = low2(a, c);
    r[g + 1] = high2(a, c);
    r[g + 2] = low2(b, d);
    r[g + 3] = high2(b, d);
  }
#if CINEFUSE_W >= 8
  for (int g = 0; g < W; g += 8) {
    for (int c = g; c < g + 4; ++c) {
      const V a = r[c], b = r[c + 4];
      r[c] = low4(a, b);
      r[c + 4] = high4(a, b);
    }
  }
#endif
#if CINEFUSE_W >= 16
  for (int c = 0; c < 8; ++c) {
    const V a = r[c], b = r[c + 8];
    r[c] = low8(a, b);
    r[c + 8] = high8(a, b);
  }
#endif
}

}  // namespace
