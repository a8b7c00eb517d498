// The matrix units: how they round, and products of a whole warp.
#pragma once
#include "block.h"

namespace cinefuse::gpu {

inline uint32_t to_tf32(float x) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffffffu;
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + 0x1000u) & 0xffffe000u;
}
inline uint32_t to_bf16(float x) {
  uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return bits >> 16;
}
inline uint32_t to_bf16x2(float low, float high) { return to_bf16(low) | to_bf16(high) << 16; }
inline uint16_t to_half(float x) {
  const uint32_t bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fffu;
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Subnormal: in units of 2^-24, rounded by float addition's own nearest-even.
    const float shifted = std::fabs(x) + 0.5f;
    return static_cast<uint16_t>(sign | (__float_as_uint(shifted) - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

// The four numbers clamped to 0..255, as bytes of a word, `a` the lowest.
inline uint32_t pack_levels(int32_t a, int32_t b, int32_t c, int32_t d) {
  const auto level = [](int32_t x) { return static_cast<uint32_t>(x < 0 ? 0 : x > 255 ? 255 : x); };
  return level(a) | level(b) << 8 | level(c) << 16 | level(d) << 24;
}

struct MatrixArguments {
  float* d;
  const uint32_t *a, *b;
};
// What all lanes gave together: D = A · B + D.
void multiply_m16n8k8_tf32(void** lanes);
void multiply_m16n8k16_bf16(void** lanes);

inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CINEFUSE_SITE) {
  MatrixArguments mine{d, a, b};
  emulator::collect(emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0,
                    CINEFUSE_HERE, multiply_m16n8k8_tf32);
}
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CINEFUSE_SITE) {
  MatrixArguments mine{d, a, b};
  emulator::collect(emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0,
                    CINEFUSE_HERE, multiply_m16n8k16_bf16);
}

struct ByteMatrixArguments {
  int32_t* d;
  const uint32_t *a, *b;
};
inline void mma_m16n8k32_s8u8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                              CINEFUSE_SITE) {
  ByteMatrixArguments mine{d, a, b};
  emulator::collect(
      emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0, CINEFUSE_HERE,
      [](void** p) {
        int32_t a_of[16][32], b_of[8][32];
        for (int l = 0; l < 32; ++l) {
          const auto* lane = static_cast<const ByteMatrixArguments*>(p[l]);
          const int g = l >> 2, t = l & 3;
          for (int j = 0; j < 4; ++j) {
            for (int i = 0; i < 4; ++i)
              a_of[g + 8 * (i & 1)][4 * t + 16 * (i >> 1) + j] =
                  static_cast<int8_t>(lane->a[i] >> 8 * j & 0xffu);
            for (int i = 0; i < 2; ++i)
              b_of[g][4 * t + 16 * i + j] = static_cast<int32_t>(lane->b[i] >> 8 * j & 0xffu);
          }
        }
        for (int l = 0; l < 32; ++l) {
          int32_t* d_of = static_cast<const ByteMatrixArguments*>(p[l])->d;
          for (int i = 0; i < 4; ++i) {
            const int row = (l >> 2) + 8 * (i >> 1), column = 2 * (l & 3) + (i & 1);
            int32_t sum = 0;
            for (int k = 0; k < 32; ++k) sum += a_of[row][k] * b_of[column][k];
            d_of[i] = static_cast<int32_t>(static_cast<uint32_t>(d_of[i]) + static_cast<uint32_t>(sum));
          }
        }
      });
}

}  // namespace cinefuse::gpu
