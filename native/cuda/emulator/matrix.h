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

struct MatrixArguments {
  float* d;
  const uint32_t *a, *b;
};

// D = A · B + D with D spread over the lanes as mma.sync has it; a_of: (16, K), b_of: (K, 8).
template <int K>
inline void multiply_tile(void** lanes, const float (&a_of)[16][K], const float (&b_of)[K][8]) {
  float d_of[16][8];
  const auto move = [&](bool back) {
    for (int l = 0; l < 32; ++l) {
      float* const d = static_cast<const MatrixArguments*>(lanes[l])->d;
      for (int i = 0; i < 4; ++i) {
        float& at = d_of[(l >> 2) + 8 * (i >> 1)][2 * (l & 3) + (i & 1)];
        (back ? d[i] : at) = back ? at : d[i];
      }
    }
  };
  move(false);
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < K; ++k) {
      for (int column = 0; column < 8; ++column) d_of[row][column] += a_of[row][k] * b_of[k][column];
    }
  }
  move(true);
}

inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CINEFUSE_SITE) {
  MatrixArguments mine{d, a, b};
  emulator::collect(emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0,
                    CINEFUSE_HERE, [](void** lanes) {
                      constexpr uint32_t kRead = 0xffffe000u;  // of an operand that was not rounded, too
                      float a_of[16][8], b_of[8][8];
                      for (int l = 0; l < 32; ++l) {
                        const auto* lane = static_cast<const MatrixArguments*>(lanes[l]);
                        const int g = l >> 2, t = l & 3;
                        for (int i = 0; i < 4; ++i)
                          a_of[g + 8 * (i & 1)][t + 4 * (i >> 1)] = __uint_as_float(lane->a[i] & kRead);
                        for (int i = 0; i < 2; ++i) b_of[t + 4 * i][g] = __uint_as_float(lane->b[i] & kRead);
                      }
                      multiply_tile<8>(lanes, a_of, b_of);
                    });
}
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CINEFUSE_SITE) {
  MatrixArguments mine{d, a, b};
  emulator::collect(emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0,
                    CINEFUSE_HERE, [](void** lanes) {
                      float a_of[16][16], b_of[16][8];
                      for (int l = 0; l < 32; ++l) {
                        const auto* lane = static_cast<const MatrixArguments*>(lanes[l]);
                        const int g = l >> 2, t = l & 3;
                        for (int i = 0; i < 4; ++i) {
                          float* const two = &a_of[g + 8 * (i & 1)][2 * t + 8 * (i >> 1)];
                          two[0] = __uint_as_float(lane->a[i] << 16);
                          two[1] = __uint_as_float(lane->a[i] & 0xffff0000u);
                        }
                        for (int i = 0; i < 2; ++i) {
                          b_of[2 * t + 8 * i][g] = __uint_as_float(lane->b[i] << 16);
                          b_of[2 * t + 8 * i + 1][g] = __uint_as_float(lane->b[i] & 0xffff0000u);
                        }
                      }
                      multiply_tile<16>(lanes, a_of, b_of);
                    });
}

}  // namespace cinefuse::gpu
